import fp from 'fastify-plugin'
import type { FastifyInstance, FastifyPluginAsync } from 'fastify'
import { createOptionCheck } from '../lib/options/check.js'
import { readCookies } from '../lib/options/cookies.js'
import { readDecorators } from '../lib/options/decorators.js'
import { readOrigins } from '../lib/options/origins.js'
import { assertKnownScopes } from '../lib/identity/scopes.js'
import { LatchkeyError } from '../lib/errors.js'
import type { AuthenticatedUser } from '../lib/identity/access-token.js'
import type { KeyAcceptance } from '../lib/personal-access-tokens/key-acceptance.js'
import { createUnknownKeys } from '../lib/personal-access-tokens/unknown-keys.js'
import { isWellFormed } from '../lib/personal-access-tokens/value.js'
import { createTokenCache } from '../lib/tokens/cache.js'
import { createAuthenticator } from '../plugins/guards/authenticator.js'
import { createCookies } from '../plugins/adapters/token-cookies.js'
import '../plugins/guards/decorators.js'
import { createHostGuards } from '../plugins/guards/host-guards.js'
import { secureRoutes } from '../plugins/guards/secure-route.js'
import { VerifierPluginOptions } from '../schemas/verifier-options.js'
import { createVerifier } from './index.js'
import type { Verifier } from './verifier.js'

declare module 'fastify' {
  interface FastifyInstance {
    /** The verifier behind the guards, for tokens that do not arrive in a request. */
    latchkeyVerifier: Verifier
  }
}

/**
 * The longest time that the start of an app waits for the service, in milliseconds. The app must start without it too.
 */
const BOOT_WAIT = 3_000

/**
 * Half of the number of good keys to remember. These keys work even if other clients at the same address guess keys.
 */
const KNOWN_KEYS = 1_000

const checkOptions = createOptionCheck<
  VerifierPluginOptions & Required<Pick<VerifierPluginOptions, 'accepts' | 'scheme' | 'cookies' | 'trustedOrigins'>>
>(VerifierPluginOptions)

const hostGuards = createHostGuards('fastify-latchkey/verifier/plugin')
export const { authenticate, authenticateOptional, requireScopes, requireRecentLogin } = hostGuards

/**
 * The guards of Latchkey for an app whose tokens a separate service issues: `authenticate`, `authenticateOptional`,
 * `requireScopes`, `requireRecentLogin` and `request.user`, as in the full plugin, and `app.latchkeyVerifier`. If the
 * service cannot be reached, the app still starts, and its guarded routes respond 503 until the service can be reached.
 */
const latchkeyVerifier: FastifyPluginAsync<VerifierPluginOptions> = async function latchkeyVerifier (app, given) {
  const { scheme, cookies: cookieOptions, trustedOrigins, decorators, ...options } = checkOptions(given)
  const names = readDecorators(decorators)
  hostGuards.assertFree(app, names, ['latchkeyVerifier'])
  const cookies = await createCookies({
    scheme,
    ...readCookies(cookieOptions),
    trustedOrigins: readOrigins('trustedOrigins', trustedOrigins)
  })
  const verifier = createVerifier({ log: app.log, ...options })
  app.addHook('preClose', async () => verifier.endSignals())
  app.addHook('onClose', () => verifier.close())
  app.decorate('latchkeyVerifier', verifier)
  // The schemes that its document would need are those of the service.
  secureRoutes(app, { find: hostGuards.find, isDocumented: () => false })

  hostGuards.register(
    app,
    createAuthenticator({
      tokens: { accept: verifier.verify, confirm: verifier.confirm },
      keys: createKeyCheck(verifier),
      accepts: options.accepts,
      cookies,
      scheme,
      now: verifier.now,
      assertKnown: createScopeCheck(app, verifier)
    }),
    names
  )
  await waitFor(verifier)
  const { accepting, error } = verifier.status()
  if (!accepting) {
    app.log.warn(
      { reason: error },
      'starting without the service that issues the tokens: guarded routes respond 503 until it can be reached'
    )
  }
}

/**
 * Rejects unknown scopes at once, if the scopes are known. Otherwise it logs them when the service is reached: no token
 * has such a scope, so the guard rejects every request.
 */
function createScopeCheck (app: FastifyInstance, verifier: Verifier): (scopes: readonly string[]) => void {
  return function assertKnown (scopes) {
    const check = (names: readonly string[]): void =>
      assertKnownScopes(scopes, Object.fromEntries(names.map(name => [name, name])))
    const names = verifier.scopes()
    if (names !== undefined) return check(names)
    verifier.ready().then(() => check(verifier.scopes() ?? [])).catch((error: unknown) => {
      if (error instanceof RangeError) {
        app.log.error({ err: error }, 'a guard requires a scope that no token can have: correct its name')
      }
    })
  }
}

/** Each unknown key costs a request to the service, so they are counted for each address. */
function createKeyCheck (verifier: Verifier): KeyAcceptance {
  const unknownKeys = createUnknownKeys(true)
  const known = createTokenCache<true>(KNOWN_KEYS)
  async function check (value: string, address: string | undefined): Promise<AuthenticatedUser> {
    if (!isWellFormed(value)) throw new LatchkeyError('invalid_token')
    if (known.get(value) === undefined) unknownKeys.assertFew(address)
    try {
      const user = await verifier.verify(value)
      known.set(value, true)
      return user
    } catch (error) {
      if (error instanceof LatchkeyError && error.code === 'invalid_token') {
        unknownKeys.note(address)
        known.delete(value)
      }
      throw error
    }
  }
  return { accept: check, confirm: check }
}

async function waitFor (verifier: Verifier): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const enough = new Promise<void>(resolve => { timer = setTimeout(resolve, BOOT_WAIT) })
  await Promise.race([verifier.ready(), enough])
  clearTimeout(timer)
}

const plugin: FastifyPluginAsync<VerifierPluginOptions> = fp(latchkeyVerifier, {
  name: 'fastify-latchkey-verifier',
  fastify: '5.x'
})
export default plugin
export { plugin as verifier }

export { LatchkeyError } from '../lib/errors.js'
export type { Verifier, VerifierStatus } from './verifier.js'
export type { AccessTokenClaims, AuthenticatedUser } from '../lib/identity/access-token.js'
export type * from '../plugins/guards/decorators.js'
export type { Credential } from '../plugins/guards/accepts.js'
export type { Guard, Guards } from '../plugins/guards/guards.js'
export type * from '../plugins/guards/public-routes.js'
export type { ErrorCode } from '../schemas/errors.js'
export type { VerifierLog, VerifierPluginOptions } from '../schemas/verifier-options.js'
export type * from '../schemas/scopes.js'
export type * from '../schemas/user-ids.js'
