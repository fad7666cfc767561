import type { User, UserDirectory } from '../../schemas/host.js'
import type { Client } from '../clients/clients.js'
import { LatchkeyError } from '../errors.js'
import { anonymous } from '../ledger/events.js'
import type { Follower } from '../store/change-follower.js'
import type { Attempter, Settle, Throttle } from '../throttle/throttle.js'
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
  confirm?: Confirm
}

/**
 * A check by the app, for example of a second factor. It runs only if the password is correct. The result false is a
 * failed login, and counts like a wrong password. If it throws, the attempt does not count.
 */
export type Confirm = (user: User) => Confirmation | Promise<Confirmation>

/** The result of the check. `amr`: the methods (RFC 8176) that it has verified besides the password. */
export type Confirmation = boolean | { readonly amr: readonly string[] }

/**
 * Checks the password and begins a session. Throws `invalid_credentials`, whose text and timing do not reveal what was
 * wrong, or `too_many_failures`.
 */
export type LogIn = (credentials: Credentials, sender: Sender) => Promise<Grant>

/** Creates the login. */
export function createLogin ({ users, builtInUsers, hasClaimsHook, sessions, follower, throttle, clock }: {
  users: UserDirectory
  /** The built-in users. Undefined if `users` is the host's directory. */
  builtInUsers: Users | undefined
  /** Whether starting a session runs the option `claims`. */
  hasClaimsHook: boolean
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

  return async function logIn ({ username, password, scope, client, confirm }, { address, userAgent, refreshToken }) {
    // Reads what other processes have revoked up to now. All of it is older than the account that is read later.
    await follower.refresh()
    const askedAt = clock.now()
    const bucket = await throttle.findLoginBucket(username, { address, sessionId: await findSession(refreshToken) })
    const who: Attempter = { actor: anonymous(address), clientId: client?.id ?? null, failure: 'login_failed' }
    const place = throttle.placeOf(username, address)
    const amr = ['pwd']

    async function check (): Promise<User> {
      // Read after the reservation, which may wait long: a login must not pass with a password that was replaced
      // meanwhile.
      const account = await findAccount(username)
      // The subject is the account's id and never the typed text, because people type passwords into the username
      // field.
      who.subject = account.id
      const user = await account.verify(password, address)
      if (user === null) throw new LatchkeyError('invalid_credentials')
      // The host's directory names the account only now.
      who.subject = user.id
      const answer = confirm === undefined || await confirm(user)
      if (typeof answer === 'object') amr.push(...answer.amr)
      else if (answer !== true) throw new LatchkeyError('invalid_credentials')
      return user
    }

    function start (user: User, settle?: Settle): Promise<Grant> {
      return sessions.start(user, { client, askedAt, scope, userAgent, address, place, settle, amr })
    }

    // The claims hook is the host's code and may take long. So the attempt is settled before it runs, in its own
    // commit.
    return hasClaimsHook
      ? await start(await throttle.attempt(bucket, who, check))
      : await throttle.attemptAndWrite(bucket, who, { check, write: start })
  }
}
