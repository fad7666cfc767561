import { asUser } from '../ledger/events.js'
import type { Throttle } from '../throttle/throttle.js'
import type { Users } from './users.js'

/** The user whose access token the request has. `sessionId` is the session that continues. */
export interface Owner {
  id: string
  sessionId: string | undefined
  address: string
}

/** Makes the throttled change of a user's own password. */
export function createOwnPasswordAttempt ({ users, throttle }: {
  users: Pick<Users, 'changePassword'>
  throttle: Pick<Throttle, 'attempt' | 'changeBucket'>
}) {
  /** `Users.changePassword`, but a stolen access token cannot guess the password. Throws `too_many_failures`. */
  return async function attemptOwnPassword (
    { id, sessionId, address }: Owner, { current, password }: { current: string, password: string }
  ): Promise<void> {
    // Failures count for the session of the token, or for its user if the token has no session.
    const bucket = throttle.changeBucket(sessionId ?? id)
    await throttle.attempt(bucket, { actor: asUser(id, address), subject: id, sessionId }, () =>
      users.changePassword(id, { current, password, keepSession: sessionId, address }))
  }
}
