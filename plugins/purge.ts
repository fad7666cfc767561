import fp from 'fastify-plugin'
import { kAudit } from './audit.js'
import { kStore } from './database.js'
import { kKeys } from './keys.js'
import { kLedger } from './ledger.js'
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
 * the app runs. Also replaces the signing key when that is due. Only one node at a time does this. When the app ends,
 * each node stores the time.
 */
export default fp(async function latchkeyPurge (app) {
  const store = app[kStore]
  const keys = app[kKeys]
  const sessions = app[kSessions]
  const ledger = app[kLedger]
  const revocations = app[kRevocations]
  const audit = app[kAudit]
  const throttle = app[kThrottle]
  let timer: NodeJS.Timeout | undefined
  let step: Promise<void> = Promise.resolve()
  let isClosed = false

  /** Does one step. Returns whether there may be more to do. */
  async function purgeStore (): Promise<boolean> {
    const moreRules = await revocations.purge()
    const moreSessions = await sessions.purge(STEP)
    const moreAttempts = await throttle.purge(STEP)
    const moreEvents = await audit.purge(STEP)
    return moreRules || moreSessions || moreAttempts || moreEvents
  }

  async function keepHouse (): Promise<boolean> {
    let more = false
    try {
      more = await purgeStore()
    } catch (error) {
      app.log.warn({ err: error }, 'expired data could not be purged; trying again')
    }
    try {
      await keys.purge()
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
    } catch (error) {
      app.log.warn({ err: error }, 'this node could not find out whether another node purges; trying again')
    }
    // Each process has its own index, so it must sweep that even if another node purges.
    if (more === undefined) revocations.sweep()
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
    try {
      await ledger.keepTime()
    } catch (error) {
      app.log.warn({ err: error }, 'the time could not be stored; the time of the last write remains')
    }
  })
}, {
  name: 'latchkey-purge',
  fastify: '5.x',
  dependencies: ['latchkey-database', 'latchkey-keys', 'latchkey-sessions', 'latchkey-audit']
})
