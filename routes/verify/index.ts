import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { hasTokenScheme } from '../../lib/http/credentials.js'
import { identityHeaders, readForwardedMethod } from '../../lib/http/forward-auth.js'
import { LatchkeyError } from '../../lib/errors.js'
import { parseScope } from '../../lib/identity/scopes.js'
import { kGuards } from '../../plugins/authentication.js'
import { kCookies } from '../../plugins/cookies.js'
import { kSettings } from '../../plugins/settings.js'
import { VERIFIED, VerifyQuery } from '../../schemas/forward-auth.js'
import { OR_KEY, SCOPED, problems } from '../../schemas/responses.js'

/** Forward authentication. A reverse proxy asks here whether it may pass a request on to another program. */
const verify: FastifyPluginAsyncTypebox = async function verify (app) {
  const { accepts, catalogue, forwardAuth, scheme } = app[kSettings]
  if (!forwardAuth) return
  const { authenticate, requireScopes, userOf } = app[kGuards]
  const cookies = app[kCookies]

  app.get('', {
    config: { latchkey: { accepts } },
    schema: {
      operationId: 'verifyRequest',
      summary: 'Check the token of a user or a machine client for a reverse proxy',
      description: 'For `auth_request` of nginx, `forward_auth` of Caddy and ForwardAuth of Traefik. Exists only if ' +
        'the option `forwardAuth` is on. If the token is in the cookie, the proxy must name the method of the ' +
        'original request in `X-Forwarded-Method` or `X-Original-Method`. Without these headers, requests from other ' +
        'sites are rejected.',
      tags: ['tokens'],
      querystring: VerifyQuery,
      response: {
        ...VERIFIED,
        ...problems(...SCOPED, ...OR_KEY, 'invalid_request', 'invalid_scope', 'cross_site_request')
      }
    },
    onRequest: authenticate
  }, async (request, reply) => {
    const { headers, query } = request
    // Our own request is a GET. Without a token in the header, it came from the cookie.
    if (!hasTokenScheme(headers.authorization ?? '', scheme)) {
      cookies.assertSameSite(request, readForwardedMethod(headers))
    }
    const scopes = parseScope(query.scope ?? '')
    const unknown = scopes.find(scope => !Object.hasOwn(catalogue, scope))
    if (unknown !== undefined) {
      throw new LatchkeyError('invalid_scope', {
        message: `The scope '${unknown.slice(0, 64)}' is unknown: correct it in the configuration of the proxy.`
      })
    }
    if (scopes.length > 0) await requireScopes(...scopes)(request, reply)
    return reply.code(204).headers(identityHeaders(userOf(request))).send(null)
  })
}

export default verify
