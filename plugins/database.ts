import fp from 'fastify-plugin'
import { createStoreClock } from '../lib/time/clock.js'
import type { StoreClock } from '../lib/time/clock.js'
import { createFollower } from '../lib/store/change-follower.js'
import type { Follower } from '../lib/store/change-follower.js'
import { openStore } from '../lib/store/open.js'
import type { Store } from '../lib/store/store.js'
import { createFailureLog } from './adapters/failure-log.js'
import { LONGEST_QUEUE } from './load-shedding.js'
import { kExistingDatabase, kSettings } from './settings.js'

export const kStore = Symbol('latchkey.store')
export const kClock = Symbol('latchkey.clock')
export const kFollower = Symbol('latchkey.follower')
export const kWriterWaits = Symbol('latchkey.writerWaits')

declare module 'fastify' {
  interface FastifyInstance {
    [kStore]: Store
    [kClock]: StoreClock
    /** Reloads what is held in memory when another process has changed it. */
    [kFollower]: Follower
    /** Receive how many milliseconds each write transaction has waited for its turn. */
    [kWriterWaits]: Set<(milliseconds: number) => void>
  }
}

/** Opens the store and the clock. It closes the store after everything that uses it has closed. */
export default fp(async function latchkeyDatabase (app) {
  const { database, revocationBound: bound, databaseTimeout: timeout, acceptLostCommits, shedLoad, now } =
    app[kSettings]
  const failures = createFailureLog(app.log)
  const waits = new Set<(milliseconds: number) => void>()
  function log (err: unknown, message: string): void {
    failures.note(message, () => { app.log.warn({ err }, message) })
  }
  const store = await openStore(database, {
    bound,
    now,
    timeout,
    acceptLostCommits,
    longestQueue: shedLoad ? LONGEST_QUEUE : undefined,
    log,
    mustExist: app.hasDecorator(kExistingDatabase),
    onWait (milliseconds) { for (const listener of waits) listener(milliseconds) }
  })
  app.decorate(kWriterWaits, waits)
  app.addHook('onClose', async () => {
    await store.close()
    failures.close()
  })
  app.decorate(kStore, store)
  const follower = createFollower(store, { bound })
  // Changes are read when they are announced, so that no request waits for them. If that fails, the next request tries
  // again, and is refused if it fails too.
  store.onChange(() => {
    Promise.resolve().then(follower.refresh)
      .catch(error => log(error, 'the changes of another node could not be read; trying again'))
  })
  app.decorate(kFollower, follower)
  app.decorate(kClock, createStoreClock(store.now))
}, { name: 'latchkey-database', fastify: '5.x', dependencies: ['latchkey-settings'] })
