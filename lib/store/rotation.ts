import type { Selectable } from 'kysely'
import type { SessionsTable, UsersTable } from './tables.js'

/** A refresh that rotates its session if all conditions hold. */
export interface Rotation {
  sessionId: string
  nonce: string
  /** The session must still be at this generation. */
  generation: number
  clientId: string
  /** Milliseconds until the next refresh token expires, if it is not used. */
  refreshIdleTtl: number
  /** Whether the session must have a place in a status list. */
  needsStatus: boolean
  /**
   * The session's account. If it is one of the built-in users, the rotation reads it, and requires that it is enabled.
   * `grants`: requires that it has exactly these scopes and roles of its own. Otherwise the account is the host's.
   * `usedAt`: the earliest time of the session's last use, in milliseconds.
   */
  account:
    | { isBuiltIn: true, grants?: Pick<UsersTable, 'scope' | 'roles'>, usedAt?: number }
    | { isBuiltIn: false, userId: string, usedAt?: number }
}

/** A session after its rotation. */
export interface RotatedSession {
  session: Selectable<SessionsTable>
  /** Undefined if the account is the host's. */
  account: Pick<UsersTable, 'id' | 'username' | 'scope' | 'roles'> | undefined
  /** When it was rotated, in milliseconds. */
  now: number
}

/**
 * Rotates a session in one statement that commits on its own. Returns undefined if a condition does not hold. Only a
 * transaction can then find out which one.
 */
export type Rotate = (rotation: Rotation) => Promise<RotatedSession | undefined>
