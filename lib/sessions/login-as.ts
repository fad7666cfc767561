import type { UserDirectory } from '../../schemas/host.js'
import { LatchkeyError } from '../errors.js'
import { anonymous } from '../ledger/events.js'
import type { Follower } from '../store/change-follower.js'
import type { Throttle } from '../throttle/throttle.js'
import type { Clock } from '../time/clock.js'
import type { Grant } from './issued.js'
import type { Sender } from './login.js'
import type { Sessions } from './sessions.js'

/** The user that the app has verified. */
interface VerifiedUser {
  id: string
  /** How the app verified the user, for the audit trail. */
  method: string
  scope?: string
  /** How the user proved who they are (RFC 8176). Default: unknown. */
  amr?: readonly string[]
  /** Milliseconds: when the user did so. Default: now. */
  authTime?: number
}

/**
 * Begins a session for a user that the app has verified itself. Throws `invalid_credentials` if there is no such user,
 * or if the account may not log in.
 */
export type LogInAs = (user: VerifiedUser, sender: Sender) => Promise<Grant>

/** Creates the login without a password. */
export function createLogInAs ({ users, sessions, follower, throttle, clock }: {
  users: UserDirectory
  sessions: Pick<Sessions, 'start'>
  follower: Pick<Follower, 'refresh'>
  throttle: Throttle
  clock: Clock
}): LogInAs {
  return async function logInAs ({ id, method, scope, amr, authTime }, { address, userAgent }) {
    // First reads the latest revocations of other processes. The account is read later, so it is newer than all of
    // them.
    await follower.refresh()
    const askedAt = clock.now()
    const user = await users.find(id)
    if (user === null) {
      await throttle.recordFailure({
        type: 'login_failed', actor: anonymous(address), subject: id, details: { method }
      })
      throw new LatchkeyError('invalid_credentials', { message: 'This account does not exist or may not log in.' })
    }
    const place = throttle.placeOf(user.username, address)
    return await sessions.start(user, {
      askedAt, scope, userAgent, address, place, method, amr, authTime
    })
  }
}
