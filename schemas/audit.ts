import { Type } from 'typebox'
import { DateTime, PageLimit, PLACE_PATTERN } from './common.js'
import { EVENT_TYPES } from './events.js'
import { EXAMPLE } from './examples.js'

const Nullable = Type.Union([Type.String(), Type.Null()])

/** An entry of the audit trail. */
export const AuditEntryView = Type.Object({
  id: Type.Integer({ description: 'The position in the trail. A later entry has a greater id.' }),
  at: DateTime,
  type: Type.String(),
  outcome: Type.Enum(['success', 'failure']),
  actor: Type.Object({ kind: Type.String(), id: Nullable, address: Nullable }),
  subject: Nullable,
  session_id: Nullable,
  client_id: Nullable,
  details: Type.Record(Type.String(), Type.Unknown())
}, { title: 'AuditEntry', description: 'An entry of the audit trail.' })

/** A page of the audit trail, newest first. */
export const AuditPage = Type.Object({
  events: Type.Array(AuditEntryView),
  next: Type.Union([
    Type.String({ description: 'The `cursor` of the next page, or null on the last page.' }),
    Type.Null()
  ])
}, {
  title: 'AuditPage',
  description: 'A page of the audit trail, newest first.',
  examples: [{
    events: [{
      id: 42,
      at: EXAMPLE.moment,
      type: 'login',
      outcome: 'success',
      actor: { kind: 'user', id: EXAMPLE.userId, address: '203.0.113.7' },
      subject: EXAMPLE.userId,
      session_id: EXAMPLE.sessionId,
      client_id: 'latchkey',
      details: {}
    }],
    next: null
  }]
})

/** The query of `GET /audit`. */
export const AuditQuery = Type.Object(
  {
    type: Type.Optional(Type.Enum(EVENT_TYPES)),
    outcome: Type.Optional(Type.Enum(['success', 'failure'])),
    actor: Type.Optional(
      Type.String({ minLength: 1, maxLength: 256, description: 'The id of the user or client that acted.' })
    ),
    subject: Type.Optional(
      Type.String({ minLength: 1, maxLength: 256, description: 'The id of the affected user, client or key.' })
    ),
    since: Type.Optional(DateTime),
    until: Type.Optional(DateTime),
    cursor: Type.Optional(Type.String({ pattern: PLACE_PATTERN, description: 'The `next` of the previous page.' })),
    limit: Type.Optional(PageLimit)
  },
  { additionalProperties: false }
)
