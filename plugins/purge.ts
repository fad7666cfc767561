import fp from 'fastify-plugin'
import { lookAtTime } from '../lib/store/steady-time.js'
import { kAudit } from './audit.js'
import { kStore } from './database.js'
import { kKeys } from './keys.js'
import { kPersonalAccessTokens } from './personal-access-tokens.js'
import { kRevocations } from './revocations.js'
import { kSessions } from './sessions.js'
import { kThrottle } from './throttle.js'

/** How often the store is purged, in milliseconds. */
const EVERY = 60_000

/** The pause between two steps of one purge, in milliseconds, so that requests go first. */
const PAUSE = 50

/** How many rows of a table are deleted in one step. */
const STEP = 500

/**
 * Deletes rules, sessions, keys, counts of attempts and audit entries that can no longer matter, in small steps, while
 * the app runs. Also replaces the signing key when that is due. Only one node at a time does this, and only while the
 * time is steady.
 */
export default fp(async function latchkeyPurge (app) {
  const store = app[kStore]
  const keys = app[kKeys]
  const sessions = app[kSessions]
  const revocations = app[kRevocations]
  const audit = app[kAudit]
  const throttle = app[kThrottle]
  const personalAccessTokens = app[kPersonalAccessTokens]
  let timer: NodeJS.Timeout | undefined
  let step: Promise<void> = Promise.resolve()
  let isClosed = false

  /** Does one step. Returns whether there may be more to do. */
  async function purgeStore (now: number): Promise<boolean> {
    const moreRules = await revocations.purge(now)
    const moreSessions = await sessions.purge(STEP, now)
    const moreTokens = await personalAccessTokens.purge(STEP, now)
    const moreAttempts = await throttle.purge(STEP, now)
    const moreEvents = await audit.purge(STEP, now)
    return moreRules || moreSessions || moreTokens || moreAttempts || moreEvents
  }

  async function keepHouse (): Promise<boolean> {
    let more = false
    const [isSteady, now] = await store.transaction(async (trx, now) => [await lookAtTime(trx, now), now] as const)
    if (!isSteady) return more
    try {
      more = await purgeStore(now)
    } catch (error) {
      app.log.warn({ err: error }, 'expired data could not be purged; trying again')
    }
    try {
      await keys.purge(now)
      await keys.rotateIfDue()
    } catch (error) {
      app.log.warn({ err: error }, 'the keys could not be purged or rotated; trying again')
    }
    return more
  }

  /** Records the counts of this process. Each process has its own. */
  async function recordCounts (isEnding: boolean): Promise<void> {
    try {
      await throttle.recordCounts(isEnding)
    } catch (error) {
      app.log.warn({ err: error }, 'the counts of failed attempts could not be recorded in the audit trail')
    }
  }

  async function purge (): Promise<void> {
    await recordCounts(false)
    let more: boolean | undefined
    try {
      more = await store.onOneNode(keepHouse)
      // Each process has its own index, so it must sweep that even if another node purges.
      if (more === undefined) await revocations.sweep()
    } catch (error) {
      app.log.warn({ err: error }, 'this node could not find out whether another node purges; trying again')
    }
    if (!isClosed) schedule(more === true ? PAUSE : EVERY)
  }

  function schedule (delay: number): void {
    timer = setTimeout(() => { step = purge() }, delay).unref()
  }

  app.addHook('onReady', async () => schedule(EVERY))
  app.addHook('onClose', async () => {
    isClosed = true
    clearTimeout(timer)
    await step
    await recordCounts(true)
  })
}, {
  name: 'latchkey-purge',
  fastify: '5.x',
  dependencies: [
    'latchkey-database', 'latchkey-keys', 'latchkey-sessions', 'latchkey-personal-access-tokens', 'latchkey-audit'
  ]
})
