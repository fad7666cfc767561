import { randomBytes, randomUUID } from 'node:crypto'
import type { InjectOptions, LightMyRequestResponse } from 'fastify'
import type { Latchkey, Scope, User } from '../app.js'
import { assertKnownScopes, formatScope, parseScope } from '../lib/identity/scopes.js'
import type { Users } from '../lib/users/users.js'

/**
 * Who a test acts as:
 * - the username of somebody in the built-in table;
 * - a user, as `app.latchkey.users.add()` gave it. Where the app has users of its own: what its `find` gives, or anybody you like;
 * - nobody in particular, who has these scopes: the same user for the same scopes. In the built-in table it is added at first use;
 *   users of your own do not know it, so `find` ends what asks for more than its token.
 */
export type TestUser = string | User | { readonly scopes: readonly Scope[] }

/** What a test of an app that uses Latchkey needs beside the app. */
export interface TestKit {
  /**
   * An access token of a session that has just begun, with all scopes that the user has: of the app's own key, with its own claims, for
   * `accessTokenTtl`. Throws where there is no such user, or where a login would not give one either.
   */
  createTestToken (who: TestUser): Promise<string>
  /** Sends a request as somebody who has just logged in: `app.inject` with a new token in the `Authorization` header. */
  injectAs (who: TestUser, request: InjectOptions | string): Promise<LightMyRequestResponse>
  /** Revokes an access token, as `POST /revoke` does. Throws where it is none of this app. */
  revoke (token: string): Promise<void>
}

/** What the kit needs of a Fastify app, whatever its type parameters are. */
export interface TestableApp {
  readonly latchkey: Latchkey
  ready (): PromiseLike<unknown>
  inject (request: InjectOptions | string): Promise<LightMyRequestResponse>
}

/**
 * Gives an app under test the methods of the kit, and returns it. They do nothing that `app.latchkey` does not let the app do itself:
 * keys, sessions, revocations and the database are the real ones.
 * @param app - that on which Latchkey is registered, before or after it is ready.
 */
export function withTestKit<App extends TestableApp> (app: App): App & TestKit {
  const anybodies = new Map<string, Promise<User>>()

  async function readServices (): Promise<Latchkey> {
    const registered: { latchkey?: Latchkey } = app
    if (registered.latchkey === undefined) await app.ready()
    if (registered.latchkey === undefined) throw new TypeError('withTestKit() was given an app without Latchkey: give it the one, or the scope of it, on which Latchkey is registered')
    return registered.latchkey
  }

  async function addAnybody (users: Users | undefined, scopes: string[]): Promise<User> {
    const username = `test-${randomUUID()}`
    if (users === undefined) return { id: username, username, scopes }
    return await users.add({ username, password: randomBytes(32).toString('base64url'), scopes })
  }

  function findAnybody (services: Latchkey, users: Users | undefined, given: readonly string[]): Promise<User> {
    assertKnownScopes(given, services.scopes)
    const scopes = parseScope(formatScope(given))
    const key = formatScope(scopes)
    // The promise, not the user: two requests at once are of one user too.
    const anybody = anybodies.get(key) ?? addAnybody(users, scopes)
    anybodies.set(key, anybody)
    return anybody
  }

  async function findUser (services: Latchkey, who: TestUser): Promise<User> {
    const users = builtInUsers(services)
    if (typeof who === 'string' && users === undefined) throw new TypeError(`The users of this app are its own (option users): give a user instead of the name ${who}`)
    const user = typeof who === 'string' || 'id' in who ? who : await findAnybody(services, users, who.scopes)
    if (users === undefined) return user as User
    // As of now: what the test holds may be older than the last change.
    const account = typeof user === 'string' ? await users.findByName(user) : await users.findById(user.id)
    if (account === null) throw new TypeError(`There is no user ${typeof user === 'string' ? user : user.username}: add it by app.latchkey.users.add()`)
    return account
  }

  async function createTestToken (who: TestUser): Promise<string> {
    const services = await readServices()
    return await services.tokens.sign(await services.sessions.start(await findUser(services, who)))
  }

  return Object.assign(app, {
    createTestToken,
    async injectAs (who: TestUser, request: InjectOptions | string) {
      const authorization = `Bearer ${await createTestToken(who)}`
      const options = typeof request === 'string' ? { url: request } : request
      return await app.inject({ ...options, headers: { ...options.headers, authorization } })
    },
    async revoke (token: string) {
      const services = await readServices()
      const claims = services.tokens.decode(token)
      if (claims === undefined) throw new TypeError('What was to be revoked is no access token of this app')
      await services.sessions.endToken(claims)
    }
  })
}

/** Undefined where the app has users of its own: `services.users` throws then. */
function builtInUsers (services: Latchkey): Users | undefined {
  try {
    return services.users
  } catch {
    return undefined
  }
}
