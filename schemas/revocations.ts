import { Type } from 'typebox'
import type { TNull } from 'typebox'
import { PAGE_LIMIT_PATTERN } from './common.js'
import { EXAMPLE } from './examples.js'

/** The query of `GET /revocations`. A query holds text, and nothing is coerced. */
export const RevocationsQuery = Type.Object({
  after: Type.Optional(Type.String({ description: 'The `cursor` of the page before. One that this store has not made begins at the start. An event stream takes `Last-Event-ID` instead.' })),
  limit: Type.Optional(Type.String({
    pattern: PAGE_LIMIT_PATTERN,
    description: 'How many rules a page has at most, 1 to 1000. Default 1000.'
  }))
}, { additionalProperties: false })

/** What is revoked. */
export const RevocationRule = Type.Object({
  kind: Type.Enum(['token', 'session', 'user', 'client'], { description: 'Which claim `value` is compared with: `jti`, `sid`, `sub` or `client_id`.' }),
  value: Type.String(),
  issued_before: Type.Optional(Type.Integer({ description: 'Milliseconds since the epoch: tokens issued before are dead. Absent: whenever they were issued.' })),
  expires_at: Type.Integer({ description: 'Milliseconds since the epoch: when the last token that the rule could kill has expired.' })
}, { title: 'RevocationRule', description: 'A rule that kills tokens.' })

const EXAMPLE_RULES = [
  { kind: 'session' as const, value: EXAMPLE.sessionId, expires_at: Date.parse(EXAMPLE.moment) + 900_000 },
  { kind: 'user' as const, value: EXAMPLE.userId, issued_before: Date.parse(EXAMPLE.moment), expires_at: Date.parse(EXAMPLE.moment) + 900_000 }
]

const EXAMPLE_PAGE = { cursor: '2n9c4a7zq1-mwxf1jm9-42', more: false, keys: ['1'], rules: EXAMPLE_RULES }
const EXAMPLE_EVENTS = `event: rules\nid: 2n9c4a7zq1-mwxf1jm9-42\ndata: ${JSON.stringify({ rules: EXAMPLE_RULES })}\n\n` +
  `event: state\ndata: ${JSON.stringify({ as_of: 3, time: Date.parse(EXAMPLE.moment), keys: ['1'] })}\n\n`

/** A page of the rules, for a receiver that polls. */
export const RevocationPage = Type.Object({
  cursor: Type.String({ description: 'What to give as `after` for what comes next.' }),
  more: Type.Boolean({ description: 'Whether there was more already: only without it the receiver has everything.' }),
  keys: Type.Array(Type.String(), { description: 'The `kid` of each key that verifies now.' }),
  rules: Type.Array(RevocationRule)
}, {
  title: 'RevocationPage',
  description: 'Rules in the order in which they were made. A receiver only ever adds.',
  examples: [EXAMPLE_PAGE]
})

/** The same as server-sent events. */
export const RevocationEvents = Type.String({
  description: 'Events `rules`, whose `id` is the cursor after them, and `state`, whenever the receiver has been sent everything that there was.',
  examples: [EXAMPLE_EVENTS]
})

/** What the feed reads of the head of a request. */
export const FeedHeaders = Type.Object({
  'last-event-id': Type.Optional(Type.String({ description: 'Of an event stream: the `id` of the last event that arrived.' })),
  'if-none-match': Type.Optional(Type.String({ description: 'Of a page: the `ETag` of the last one.' }))
})

const AS_OF = {
  'revocation-as-of': { type: 'integer', description: 'Milliseconds from the arrival of the request to the moment as of which this is all that was revoked; it may be negative.' },
  'revocation-time': { type: 'integer', description: 'The clock of the service, in milliseconds since the epoch.' },
  etag: { type: 'string', description: 'Changes with what the page says.' }
}

/** The answers of the feed. Fastify takes a schema for each media type; to the types of a handler it is that of a page. */
export const FEED = {
  200: {
    description: 'Rules in the order in which they were made. A receiver only ever adds.',
    headers: AS_OF,
    content: {
      'application/json': { schema: RevocationPage, examples: { page: { value: EXAMPLE_PAGE } } },
      'text/event-stream': { schema: RevocationEvents, examples: { events: { value: EXAMPLE_EVENTS } } }
    }
  },
  304: { description: 'Nothing has changed.', headers: AS_OF, type: 'null' }
} as unknown as { 200: typeof RevocationPage, 304: TNull }
