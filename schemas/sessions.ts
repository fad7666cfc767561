import { Type } from 'typebox'
import { DateTime, Scope, Uuid } from './common.js'
import { EXAMPLE } from './examples.js'

/**
 * The maximum number of sessions that a user can have and a list can show. Building a longer list blocks other
 * requests.
 */
export const MAX_SESSIONS = 500

const EXAMPLE_SESSION = {
  id: EXAMPLE.sessionId,
  client_id: 'latchkey',
  scope: EXAMPLE.scope,
  created_at: EXAMPLE.earlier,
  last_used_at: EXAMPLE.moment,
  expires_at: EXAMPLE.later,
  user_agent: 'Mozilla/5.0 (X11; Linux x86_64; rv:144.0) Gecko/20100101 Firefox/144.0',
  device: 'Firefox on Linux',
  address: '203.0.113.7',
  current: true
}

/** A live session. */
export const SessionView = Type.Object({
  id: Uuid,
  client_id: Type.String(),
  scope: Scope,
  created_at: DateTime,
  last_used_at: DateTime,
  expires_at: DateTime,
  user_agent: Type.Union([Type.String(), Type.Null()]),
  device: Type.Union([Type.String(), Type.Null()], {
    description: 'The browser and its system or device, or the program, according to the user agent.'
  }),
  address: Type.Union([Type.String(), Type.Null()]),
  current: Type.Boolean({ description: 'Whether this request belongs to the session.' })
}, { title: 'Session', description: 'A live session.' })

export const SessionList = Type.Object(
  { sessions: Type.Array(SessionView) },
  {
    title: 'SessionList',
    description: 'Live sessions, most recently used first.',
    examples: [{ sessions: [EXAMPLE_SESSION] }]
  }
)

export const SessionParams = Type.Object({ id: Uuid })
