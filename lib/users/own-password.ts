import { asUser } from '../ledger/events.js'
import type { Throttle } from '../throttle/throttle.js'
import type { Users } from './users.js'

/** The user whose access token the request has. `sessionId` is the session that goes on. */
export interface Owner {
  id: string
  sessionId: string | undefined
  address: string
}

/** Makes the change of a user's own password, through HTTP. */
export function createPasswordChange ({ users, throttle }: {
  users: Pick<Users, 'changePassword'>
  throttle: Pick<Throttle, 'attempt' | 'changeBucket'>
}) {
  /** `Users.changePassword`, but a stolen access token cannot guess the password. Throws `too_many_failures`. */
  return async function changeOwnPassword (
    { id, sessionId, address }: Owner, { current, password }: { current: string, password: string }
  ): Promise<void> {
    // The bucket is that of the token's session. A token without a session has its user's.
    const bucket = throttle.changeBucket(sessionId ?? id)
    await throttle.attempt(bucket, { actor: asUser(id, address), subject: id, sessionId }, () =>
      users.changePassword(id, current, password, { keepSession: sessionId, address }))
  }
}
