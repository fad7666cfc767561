import fp from 'fastify-plugin'
import { createClock } from '../lib/clock.js'
import type { Clock } from '../lib/clock.js'
import { createFollower } from '../lib/follower.js'
import type { Follower } from '../lib/follower.js'
import { openSqlite } from '../lib/store/sqlite.js'
import type { Store } from '../lib/store/store.js'
import { kSettings } from './settings.js'

export const kStore = Symbol('latchkey.store')
export const kClock = Symbol('latchkey.clock')
export const kFollower = Symbol('latchkey.follower')

declare module 'fastify' {
  interface FastifyInstance {
    [kStore]: Store
    [kClock]: Clock
    /** Reads anew what is held in memory when another process has changed it. */
    [kFollower]: Follower
  }
}

/** Opens the store and the clock; closes the store when everything that uses it has closed. */
export default fp(async function latchkeyDatabase (app) {
  const { database, now, stopwatch } = app[kSettings]
  const store = await openSqlite(database)
  app.addHook('onClose', () => store.close())
  app.decorate(kStore, store)
  app.decorate(kFollower, createFollower(store))
  app.decorate(kClock, createClock(now, stopwatch))
}, { name: 'latchkey-database', fastify: '5.x', dependencies: ['latchkey-settings'] })
