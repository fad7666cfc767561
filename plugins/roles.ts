import fp from 'fastify-plugin'
import { shareRoles } from '../lib/revocation/lost-scopes.js'
import { kStore } from './database.js'
import { kRevocations } from './revocations.js'
import { kSettings } from './settings.js'

/** Revokes the tokens of roles that lost a scope since the last start, before the first request is served. */
export default fp(async function latchkeyRoles (app) {
  await shareRoles({ store: app[kStore], revocations: app[kRevocations] }, app[kSettings].roles)
}, { name: 'latchkey-roles', fastify: '5.x', dependencies: ['latchkey-revocations'] })
