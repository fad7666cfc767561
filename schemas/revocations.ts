import { Type } from 'typebox'
import type { TNull } from 'typebox'
import { PAGE_LIMIT_PATTERN } from './common.js'
import { EXAMPLE } from './examples.js'
import { ETAG } from './response-headers.js'

/** The query of `GET /revocations`. `limit` is a string because a query holds text and nothing is coerced. */
export const RevocationsQuery = Type.Object({
  after: Type.Optional(Type.String({
    description: 'The `cursor` of the previous page. A cursor that this database did not issue starts at the ' +
      'beginning. An event stream takes `Last-Event-ID` instead.'
  })),
  limit: Type.Optional(Type.String({
    pattern: PAGE_LIMIT_PATTERN,
    description: 'The maximum number of rules in a page, from 1 to 1000. Default 1000.'
  }))
}, { additionalProperties: false })

const RULE_MEMBERS = {
  value: Type.String(),
  issued_before: Type.Optional(Type.Integer({
    description: 'Milliseconds since the epoch. Only tokens issued earlier are revoked. If absent, all are.'
  })),
  expires_at: Type.Integer({
    description: 'Milliseconds since the epoch. By then, every token that the rule revokes has expired.'
  })
}

/** A rule that revokes tokens. */
export const RevocationRule = Type.Object({
  kind: Type.Enum(['token', 'session', 'user', 'client'], {
    description: 'The claim that `value` is compared with: `jti`, `sid`, `sub` or `client_id`.'
  }),
  ...RULE_MEMBERS,
  stolen: Type.Optional(Type.Boolean({
    description: 'Whether the session ended because two parties used the same refresh token.'
  }))
}, { title: 'RevocationRule', description: 'A rule that revokes tokens.' })

/**
 * A rule that revokes the tokens that name a role. These rules have their own list. A receiver must reject rules of an
 * unknown kind, and a receiver that does not support roles must continue to work.
 */
export const RoleRule = Type.Object(RULE_MEMBERS, {
  title: 'RoleRule',
  description: 'A rule that revokes the tokens whose claim `roles` contains `value`.'
})

const EXAMPLE_RULES = [
  { kind: 'session' as const, value: EXAMPLE.sessionId, expires_at: Date.parse(EXAMPLE.moment) + 900_000 },
  {
    kind: 'user' as const,
    value: EXAMPLE.userId,
    issued_before: Date.parse(EXAMPLE.moment),
    expires_at: Date.parse(EXAMPLE.moment) + 900_000
  }
]

const EXAMPLE_CURSOR = '2n9c4a7zq1-mwxf1jm9-42'
const EXAMPLE_HORIZON = Date.parse(EXAMPLE.moment) - 86_400_000
const EXAMPLE_PAGE = {
  cursor: EXAMPLE_CURSOR, more: false, horizon: EXAMPLE_HORIZON, keys: ['1'], rules: EXAMPLE_RULES, roles: []
}
const EXAMPLE_STATE = { as_of: 3, time: Date.parse(EXAMPLE.moment), horizon: EXAMPLE_HORIZON, keys: ['1'] }
const EXAMPLE_EVENTS =
  `event: rules\nid: ${EXAMPLE_CURSOR}\ndata: ${JSON.stringify({ rules: EXAMPLE_RULES, roles: [] })}\n\n` +
  `event: state\ndata: ${JSON.stringify(EXAMPLE_STATE)}\n\n`

/** A page of the rules, for a receiver that polls. */
export const RevocationPage = Type.Object(
  {
    cursor: Type.String({ description: 'The `after` of the next request.' }),
    more: Type.Boolean({
      description: 'Whether there are more rules. The receiver has all rules only if this is false.'
    }),
    horizon: Type.Integer({
      description: 'Milliseconds since the epoch. The service has deleted the rules that expire before this time, so ' +
        'reject every token that was issued before it and whose `exp` is at or before it, whatever your clock shows. ' +
        'A receiver may delete these rules too, and no others.'
    }),
    keys: Type.Array(Type.String(), { description: 'The `kid` of each key that currently verifies tokens.' }),
    rules: Type.Array(RevocationRule),
    roles: Type.Array(RoleRule)
  },
  {
    title: 'RevocationPage',
    description: 'Rules in the order in which they were created. A receiver only ever adds rules.',
    examples: [EXAMPLE_PAGE]
  }
)

/** The same as server-sent events. */
export const RevocationEvents = Type.String({
  description: 'Events `rules`, whose `id` is the cursor after those rules, and `state`, which follows whenever all ' +
    'rules have been sent.',
  examples: [EXAMPLE_EVENTS]
})

/** The request headers that the feed reads. */
export const FeedHeaders = Type.Object({
  'last-event-id': Type.Optional(
    Type.String({ description: 'For an event stream: the `id` of the last event received.' })
  ),
  'if-none-match': Type.Optional(Type.String({ description: 'For a page: the `ETag` of the previous response.' }))
})

const FEED_RESPONSE_HEADERS = {
  'revocation-as-of': {
    type: 'integer',
    description:
      'Milliseconds from the arrival of the request to the moment up to which the response includes every ' +
      'revocation. It can be negative.'
  },
  'revocation-time': {
    type: 'integer',
    description: 'The current time of the service, in milliseconds since the epoch.'
  },
  ...ETAG
}

/**
 * The responses of the feed. Fastify takes a schema for each media type, but its types allow only one for each status,
 * so the cast names that of a page.
 */
export const FEED = {
  200: {
    description: 'Rules in the order in which they were created. A receiver only ever adds rules.',
    headers: FEED_RESPONSE_HEADERS,
    content: {
      'application/json': { schema: RevocationPage, examples: { page: { value: EXAMPLE_PAGE } } },
      'text/event-stream': { schema: RevocationEvents, examples: { events: { value: EXAMPLE_EVENTS } } }
    }
  },
  304: { description: 'Nothing has changed.', headers: FEED_RESPONSE_HEADERS, type: 'null' }
} as unknown as { 200: typeof RevocationPage, 304: TNull }
