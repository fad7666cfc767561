import fp from 'fastify-plugin'
import type { FastifyInstance, FastifyPluginAsync } from 'fastify'
import { createOptionCheck } from '../lib/options/check.js'
import { readOrigins } from '../lib/options/origins.js'
import { assertKnownScopes } from '../lib/identity/scopes.js'
import { createAuthenticator } from '../plugins/authenticator.js'
import { createCookies } from '../plugins/cookies.js'
import '../plugins/decorators.js'
import { createHostGuards } from '../plugins/host-guards.js'
import { secureRoutes } from '../plugins/secure-route.js'
import { VerifierPluginOptions } from '../schemas/verifier-options.js'
import { createVerifier } from './index.js'
import type { Verifier } from './index.js'

/** Milliseconds that a boot waits for the service at most: an app must start also while the service does not. */
const BOOT_WAIT = 3_000

const checkOptions = createOptionCheck<VerifierPluginOptions & Required<Pick<VerifierPluginOptions, 'cookies' | 'trustedOrigins'>>>(VerifierPluginOptions)

const hostGuards = createHostGuards('fastify-latchkey/verifier/plugin')
export const { authenticate, authenticateOptional, requireScopes } = hostGuards

/**
 * The guards of Latchkey for an app whose tokens a service elsewhere makes: `authenticate`, `requireScopes` and `request.user`, as the
 * full plugin has them, and nothing else. Where the service cannot be reached the app starts all the same, and its guarded routes answer 503
 * until it can.
 */
const latchkeyVerifier: FastifyPluginAsync<VerifierPluginOptions> = async function latchkeyVerifier (app, given) {
  const { cookies: { secure = true }, trustedOrigins, ...options } = checkOptions(given)
  const cookies = await createCookies({ cookiesSecure: secure, trustedOrigins: readOrigins('trustedOrigins', trustedOrigins) })
  const verifier = createVerifier({ log: app.log, ...options })
  app.addHook('onClose', () => verifier.close())
  // The schemes that its document would need are those of the service.
  secureRoutes(app, () => false)

  hostGuards.register(app, createAuthenticator({ tokens: verifier, cookies, assertKnown: createScopeCheck(app, verifier) }))
  await waitFor(verifier)
  const { accepting, error } = verifier.status()
  if (!accepting) app.log.warn({ reason: error }, 'starting without the service whose tokens are verified: guarded routes answer 503 until it is there')
}

/** Refuses scopes that there are not: at once, or where the service has not yet told which there are, in the log when it does. No token carries one, so that they let nobody in. */
function createScopeCheck (app: FastifyInstance, verifier: Verifier): (scopes: readonly string[]) => void {
  return function assertKnown (scopes) {
    const check = (names: readonly string[]): void => assertKnownScopes(scopes, Object.fromEntries(names.map(name => [name, name])))
    const names = verifier.scopes()
    if (names !== undefined) return check(names)
    verifier.ready().then(() => check(verifier.scopes() ?? [])).catch((error: unknown) => {
      if (error instanceof RangeError) app.log.error({ err: error }, 'a guard asks for a scope that no token carries')
    })
  }
}

async function waitFor (verifier: Verifier): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const enough = new Promise<void>(resolve => { timer = setTimeout(resolve, BOOT_WAIT) })
  await Promise.race([verifier.ready(), enough])
  clearTimeout(timer)
}

const plugin: FastifyPluginAsync<VerifierPluginOptions> = fp(latchkeyVerifier, { name: 'fastify-latchkey-verifier', fastify: '5.x' })
export default plugin
export { plugin as verifier }

export type { AccessTokenClaims, AuthenticatedUser } from '../lib/identity/access-token.js'
export type * from '../plugins/decorators.js'
export type { Guard, Guards } from '../plugins/guards.js'
export type * from '../plugins/public-routes.js'
export type { VerifierLog, VerifierPluginOptions } from '../schemas/verifier-options.js'
export type * from '../schemas/scopes.js'
