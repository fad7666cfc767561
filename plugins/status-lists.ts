import fp from 'fastify-plugin'
import { baseOf } from '../lib/http/server-metadata.js'
import { createStatusLists } from '../lib/status-lists/lists.js'
import type { StatusLists } from '../lib/status-lists/lists.js'
import { createStatusReferences } from '../lib/status-lists/references.js'
import type { StatusReferences } from '../lib/status-lists/references.js'
import { kClock, kFollower, kStore } from './database.js'
import { kKeyring } from './keys.js'
import { kRevocations } from './revocations.js'
import { kSettings } from './settings.js'

export const kStatusLists = Symbol('latchkey.statusLists')
export const kStatusReferences = Symbol('latchkey.statusReferences')

declare module 'fastify' {
  interface FastifyInstance {
    /** Undefined without the option `statusList`. */
    [kStatusLists]: StatusLists | undefined
    /** Undefined without the option `statusList`. */
    [kStatusReferences]: StatusReferences | undefined
  }
}

/** Creates the status lists, and gives places in them. */
export default fp(async function latchkeyStatusLists (app) {
  const { statusList, issuer } = app[kSettings]
  const base = baseOf(issuer, app.prefix)
  app.decorate(kStatusReferences, statusList ? createStatusReferences({ base }) : undefined)
  app.decorate(kStatusLists, statusList
    ? createStatusLists({
      store: app[kStore],
      clock: app[kClock],
      follower: app[kFollower],
      revocations: app[kRevocations],
      keyring: app[kKeyring],
      base
    })
    : undefined)
}, { name: 'latchkey-status-lists', fastify: '5.x', dependencies: ['latchkey-keys', 'latchkey-revocations'] })
