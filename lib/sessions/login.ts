import type { User, UserDirectory } from '../../schemas/host.js'
import type { Client } from '../clients/clients.js'
import { LatchkeyError } from '../errors.js'
import { anonymous } from '../ledger/events.js'
import type { Follower } from '../store/change-follower.js'
import type { Throttle } from '../throttle/throttle.js'
import type { Clock } from '../time/clock.js'
import type { LoginAccount } from '../users/authenticate.js'
import type { Users } from '../users/users.js'
import type { Grant } from './issued.js'
import type { Sessions } from './sessions.js'

/** Where a login comes from. */
export interface Sender {
  address: string
  userAgent: string | undefined
  /** The refresh token that the browser had before. Undefined if another site sent the request. */
  refreshToken: string | undefined
}

/** What a login presents. `client` has authenticated. It is undefined for a first-party app. */
interface Credentials {
  username: string
  password: string
  scope?: string
  client?: Client
}

/**
 * Checks the password and begins a session. Throws `invalid_credentials`, whose text and timing do not reveal what was
 * wrong, or `too_many_failures`.
 */
export type LogIn = (credentials: Credentials, sender: Sender) => Promise<Grant>

/** Creates the login. */
export function createLogin ({ users, builtInUsers, sessions, follower, throttle, clock }: {
  users: UserDirectory
  /** The built-in users. Undefined if `users` is the host's directory. */
  builtInUsers: Users | undefined
  sessions: Pick<Sessions, 'identify' | 'start'>
  follower: Pick<Follower, 'refresh'>
  throttle: Throttle
  clock: Clock
}): LogIn {
  /** Returns the id of the live session that a refresh token belongs to, if any. */
  async function findSession (refreshToken: string | undefined): Promise<string | undefined> {
    const session = refreshToken === undefined ? undefined : await sessions.identify(refreshToken)
    return session?.live === true ? session.sessionId : undefined
  }

  /** The host's directory finds the account and checks the password in one call, so the account has no id before. */
  async function findAccount (username: string): Promise<LoginAccount<User>> {
    return await builtInUsers?.findForLogin(username) ?? {
      id: null,
      verify: (password, address) => users.authenticate(username, password, address)
    }
  }

  return async function logIn ({ username, password, scope, client }, { address, userAgent, refreshToken }) {
    // Reads what other processes have revoked up to now. All of it is older than the account that is read next.
    await follower.refresh()
    const askedAt = clock.now()
    const account = await findAccount(username)
    const bucket = await throttle.findLoginBucket(username, { address, sessionId: await findSession(refreshToken) })
    // The subject is the account's id and never the typed text, because people type passwords into the username field.
    const who = {
      actor: anonymous(address), subject: account.id, clientId: client?.id ?? null, failure: 'login_failed'
    } as const
    const place = throttle.placeOf(username, address)
    return await throttle.attemptAndWrite(bucket, who, {
      async check () {
        const user = await account.verify(password, address)
        if (user === null) throw new LatchkeyError('invalid_credentials')
        return user
      },
      write: (user, settle) => sessions.start(user, { client, askedAt, scope, userAgent, address, place, settle })
    })
  }
}
