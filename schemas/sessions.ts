import { Type } from 'typebox'
import { DateTime, Scope, Uuid } from './common.js'

/** A live session. */
export const SessionView = Type.Object({
  id: Uuid,
  client_id: Type.String(),
  scope: Scope,
  created_at: DateTime,
  last_used_at: DateTime,
  expires_at: DateTime,
  user_agent: Type.Union([Type.String(), Type.Null()]),
  address: Type.Union([Type.String(), Type.Null()]),
  current: Type.Boolean({ description: 'Whether this request belongs to it.' })
})

export const SessionList = Type.Object({ sessions: Type.Array(SessionView) })

export const SessionParams = Type.Object({ id: Uuid })
