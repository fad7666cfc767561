import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { AuditEntry } from '../../lib/ledger/audit.js'
import { parseDateTime } from '../../lib/time/date-time.js'
import { kAudit } from '../../plugins/audit.js'
import { kGuards } from '../../plugins/authentication.js'
import { ACCEPTS_KEYS } from '../../plugins/guards/accepts.js'
import { AuditPage, AuditQuery } from '../../schemas/audit.js'
import { OR_KEY, SCOPED, problems } from '../../schemas/responses.js'

const auditRoutes: FastifyPluginAsyncTypebox = async function auditRoutes (app) {
  const audit = app[kAudit]
  const { requireScopes } = app[kGuards]

  app.get('', {
    config: ACCEPTS_KEYS,
    schema: {
      operationId: 'readAuditTrail',
      summary: 'Read the audit trail, newest first',
      description: 'Who did what to whom, from where, and whether it succeeded. Returns one page at a time. ' +
        'The option `auditRetention` sets how long entries are kept.',
      tags: ['audit'],
      querystring: AuditQuery,
      response: { 200: AuditPage, ...problems(...SCOPED, ...OR_KEY, 'invalid_request') }
    },
    preHandler: requireScopes('audit:read')
  }, async (request) => {
    const { type, outcome, actor, subject, since, until, cursor, limit = '100' } = request.query
    const found = await audit.list({
      type,
      outcome,
      actor,
      subject,
      since: since === undefined ? undefined : parseDateTime(since),
      until: until === undefined ? undefined : parseDateTime(until),
      before: cursor === undefined ? undefined : Number(cursor),
      limit: Number(limit) + 1
    })
    const page = found.slice(0, Number(limit))
    return { events: page.map(toView), next: found.length > page.length ? String(page.at(-1)?.id) : null }
  })
}

function toView ({ id, at, type, outcome, actor, subject, sessionId, clientId, details }: AuditEntry) {
  return {
    id,
    at: new Date(at).toISOString(),
    type,
    outcome,
    actor,
    subject,
    session_id: sessionId,
    client_id: clientId,
    details
  }
}

export default auditRoutes
