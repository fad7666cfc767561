import { randomBytes, randomInt, randomUUID } from 'node:crypto'
import type { InjectOptions, LightMyRequestResponse } from 'fastify'
import type { Latchkey, Scope, User, UserId } from '../app.js'
import type { Client } from '../lib/clients/clients.js'
import { assertKnownRoles } from '../lib/identity/roles.js'
import { assertKnownScopes, formatScope, parseScope } from '../lib/identity/scopes.js'
import { isKey } from '../lib/personal-access-tokens/value.js'
import type { Users } from '../lib/users/users.js'

/**
 * The user that a test acts as:
 * - the username of a user in the built-in table.
 * - a user as returned by `app.latchkey.users.add()`. In an app with its own users, any user, known to its `find` or
 *   not.
 * - any user with these scopes and roles. The same ones always give the same user. In the built-in table the kit adds
 *   it at first use. Your own user store does not know this user, so whatever calls `find` for it ends the session.
 */
export type TestUser = string | User | { readonly scopes: readonly Scope[], readonly roles?: readonly string[] }

/** The limits of a personal access token in a test. Without them it has all scopes and does not expire. */
export interface TestKeySettings {
  /** Some of the scopes of the user. Default: all of them. */
  readonly scopes?: readonly Scope[]
  /** Seconds. Default: it does not expire. */
  readonly expiresIn?: number
}

/** The methods that a test of an app with Latchkey needs. */
export interface TestKit {
  /**
   * Returns an access token of a new session with all scopes of the user. The app's own key signs it, and it has the
   * app's claims and `accessTokenTtl`. Throws if the user does not exist, or if a login would not issue a token either.
   */
  createTestToken (who: TestUser): Promise<string>
  /**
   * Returns the value of a new personal access token. Routes accept it if their option `accepts` or that of the app
   * includes `key`. In an app with its own users, `find` must return the user. Throws if the user does not exist, may
   * not log in, or lacks one of the scopes.
   */
  createTestKey (who: TestUser, settings?: TestKeySettings): Promise<string>
  /** Returns an access token of a machine client: one that you added, or a new one with these scopes. */
  createTestClientToken (client: Client | { readonly scopes: readonly Scope[] }): Promise<string>
  /** Calls `app.inject` with a new token of the user in the `Authorization` header. */
  injectAs (who: TestUser, request: InjectOptions | string): Promise<LightMyRequestResponse>
  /**
   * Revokes an access token or a personal access token, as `POST /revoke` does. Throws if this app did not issue it, or
   * if it is a personal access token that was already revoked.
   */
  revoke (token: string): Promise<void>
}

/** The members of a Fastify app that the kit uses, independent of the app's type parameters. */
export interface TestableApp {
  readonly latchkey: Latchkey
  ready (): PromiseLike<unknown>
  inject (request: InjectOptions | string): Promise<LightMyRequestResponse>
}

/**
 * Adds the methods of the kit to an app under test, and returns the app. They only call `app.latchkey`, so keys,
 * sessions, revocations and the database are real.
 * @param app - the app on which Latchkey is registered. It need not be ready yet.
 */
export function withTestKit<App extends TestableApp> (app: App): App & TestKit {
  const usersByGrants = new Map<string, Promise<User>>()

  async function readServices (): Promise<Latchkey> {
    const registered: { latchkey?: Latchkey } = app
    if (registered.latchkey === undefined) await app.ready()
    if (registered.latchkey === undefined) {
      throw new TypeError(
        'withTestKit() was given an app without Latchkey: pass the app or scope on which Latchkey is registered'
      )
    }
    return registered.latchkey
  }

  async function addUserWith (
    users: Users | undefined, grants: { scopes: string[], roles: readonly string[] }
  ): Promise<User> {
    const username = `test-${randomUUID()}`
    // An id that is valid for either kind of `userIds`, and higher than those that a table assigns.
    if (users === undefined) return { id: `${randomInt(2 ** 47, 2 ** 48 - 1)}` as UserId, username, ...grants }
    return await users.add({ username, password: randomBytes(32).toString('base64url'), ...grants })
  }

  function findUserWith (
    services: Latchkey, users: Users | undefined, given: { scopes: readonly string[], roles?: readonly string[] }
  ): Promise<User> {
    assertKnownScopes(given.scopes, services.scopes)
    const { roles = [] } = given
    assertKnownRoles(roles, services.roles)
    const scopes = parseScope(formatScope(given.scopes))
    const key = JSON.stringify([scopes, [...roles].sort()])
    // Store the promise, so that two concurrent requests share one user.
    const user = usersByGrants.get(key) ?? addUserWith(users, { scopes, roles })
    usersByGrants.set(key, user)
    return user
  }

  async function findUser (services: Latchkey, who: TestUser): Promise<User> {
    const users = builtInUsers(services)
    if (typeof who === 'string' && users === undefined) {
      throw new TypeError(`This app manages its users itself (option users): pass a user instead of the name ${who}`)
    }
    const user = typeof who === 'string' || 'id' in who ? who : await findUserWith(services, users, who)
    if (users === undefined) return user as User
    // Read the user again, because the one that the test holds may be out of date.
    const account = typeof user === 'string' ? await users.findByName(user) : await users.findById(user.id)
    if (account === null) {
      throw new TypeError(
        `There is no user ${typeof user === 'string'
          ? user
          : user.username}: add the user with app.latchkey.users.add()`
      )
    }
    return account
  }

  async function createTestToken (who: TestUser): Promise<string> {
    const services = await readServices()
    return await services.tokens.sign(await services.sessions.start(await findUser(services, who)))
  }

  return Object.assign(app, {
    createTestToken,
    async createTestKey (who: TestUser, { scopes, expiresIn }: TestKeySettings = {}) {
      const services = await readServices()
      const user = await findUser(services, who)
      const { value } = await services.personalAccessTokens.create(
        user.id, { name: 'A test', scopes: scopes ?? user.scopes, expiresIn }
      )
      return value
    },
    async createTestClientToken (given: Client | { readonly scopes: readonly Scope[] }) {
      const { clients, tokens } = await readServices()
      const client = 'id' in given ? given : (await clients.add({ name: 'A test', scopes: [...given.scopes] })).client
      return await tokens.sign(await clients.issue(client))
    },
    async injectAs (who: TestUser, request: InjectOptions | string) {
      const authorization = `Bearer ${await createTestToken(who)}`
      const options = typeof request === 'string' ? { url: request } : request
      return await app.inject({ ...options, headers: { ...options.headers, authorization } })
    },
    async revoke (token: string) {
      const services = await readServices()
      if (isKey(token)) {
        if (await services.personalAccessTokens.revokeValue(token)) return
        throw new TypeError('The token to revoke is not a personal access token of this app')
      }
      const claims = services.tokens.decode(token)
      if (claims === undefined) throw new TypeError('The token to revoke is not an access token of this app')
      await services.sessions.endToken(claims)
    }
  })
}

/** Undefined if the app manages its users itself. `services.users` then throws. */
function builtInUsers (services: Latchkey): Users | undefined {
  try {
    return services.users
  } catch {
    return undefined
  }
}
