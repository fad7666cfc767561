import fp from 'fastify-plugin'
import { createStoreClock } from '../lib/time/clock.js'
import type { StoreClock } from '../lib/time/clock.js'
import { createFollower } from '../lib/store/change-follower.js'
import type { Follower } from '../lib/store/change-follower.js'
import { openStore } from '../lib/store/open.js'
import type { Store } from '../lib/store/store.js'
import { kExistingDatabase, kSettings } from './settings.js'

export const kStore = Symbol('latchkey.store')
export const kClock = Symbol('latchkey.clock')
export const kFollower = Symbol('latchkey.follower')

declare module 'fastify' {
  interface FastifyInstance {
    [kStore]: Store
    [kClock]: StoreClock
    /** Reloads what is held in memory when another process has changed it. */
    [kFollower]: Follower
  }
}

/** Opens the store and the clock. It closes the store after everything that uses it has closed. */
export default fp(async function latchkeyDatabase (app) {
  const { database, revocationBound: bound, now } = app[kSettings]
  const store = await openStore(database, {
    bound,
    now,
    log: (error, message) => app.log.warn({ err: error }, message),
    mustExist: app.hasDecorator(kExistingDatabase)
  })
  app.addHook('onClose', () => store.close())
  app.decorate(kStore, store)
  const follower = createFollower(store, { bound })
  // Changes are read when they are announced, so that no request waits for them. If that fails, the next request tries
  // again, and is refused if it fails too.
  store.onChange(() => {
    Promise.resolve().then(follower.refresh).catch(error => {
      app.log.warn({ err: error }, 'the changes of another node could not be read; trying again')
    })
  })
  app.decorate(kFollower, follower)
  app.decorate(kClock, createStoreClock(store.now))
}, { name: 'latchkey-database', fastify: '5.x', dependencies: ['latchkey-settings'] })
