import fp from 'fastify-plugin'
import { createAudit } from '../lib/ledger/audit.js'
import type { Audit } from '../lib/ledger/audit.js'
import { kStore } from './database.js'
import { kSettings } from './settings.js'

export const kAudit = Symbol('latchkey.audit')

declare module 'fastify' {
  interface FastifyInstance {
    [kAudit]: Audit
  }
}

/**
 * Reads the audit trail. The ledger writes each entry in the transaction that it describes: see
 * `lib/ledger/ledger.ts`.
 */
export default fp(async function latchkeyAudit (app) {
  app.decorate(
    kAudit,
    createAudit({ store: app[kStore], retention: app[kSettings].auditRetention })
  )
}, { name: 'latchkey-audit', fastify: '5.x', dependencies: ['latchkey-database'] })
