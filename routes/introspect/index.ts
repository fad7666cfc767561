import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Static } from 'typebox'
import { hasTokenScheme, readClient } from '../../lib/http/credentials.js'
import { LatchkeyError } from '../../lib/errors.js'
import { reachMoment } from '../../lib/revocation-feed/complete-as-of.js'
import { KNOWS_ALL, mayClientKnow } from '../../lib/sessions/introspection.js'
import type { MayKnow } from '../../lib/sessions/introspection.js'
import { kGuards } from '../../plugins/authentication.js'
import { ACCEPTS_KEYS } from '../../plugins/guards/accepts.js'
import { kAuthenticateClient } from '../../plugins/client-authentication.js'
import { sendOAuthError } from '../../plugins/errors.js'
import forms from '../../plugins/forms.js'
import { kInspector } from '../../plugins/introspection.js'
import { kFollower } from '../../plugins/database.js'
import { kSettings } from '../../plugins/settings.js'
import { OAUTH_BODY_TYPES } from '../../schemas/common.js'
import { BODY, OR_KEY, SCOPED, oauthErrors } from '../../schemas/responses.js'
import { IntrospectRequest, IntrospectResponse } from '../../schemas/tokens.js'

/** The introspection endpoint: RFC 7662. */
const introspect: FastifyPluginAsyncTypebox = async function introspect (app) {
  await app.register(forms)
  const inspector = app[kInspector]
  const { scheme } = app[kSettings]
  const follower = app[kFollower]
  const stopwatch = (): number => performance.now()
  const authenticateClient = app[kAuthenticateClient]
  const requireAll = app[kGuards].requireScopes(KNOWS_ALL)

  /**
   * Returns which tokens the caller may introspect. A registered client may introspect its own, and a holder of the
   * scope all of them.
   */
  async function authorize (
    request: FastifyRequest,
    reply: FastifyReply,
    body: Static<typeof IntrospectRequest>
  ): Promise<MayKnow> {
    if (hasTokenScheme(request.headers.authorization ?? '', scheme)) {
      if (readClient(undefined, body) !== undefined) {
        throw new LatchkeyError('invalid_request', {
          message: 'The request authenticates in two ways: send an access token or client credentials, not both.'
        })
      }
      await requireAll(request, reply)
      return () => true
    }
    const client = await authenticateClient(request, reply, body)
    // RFC 7662 section 2.1. A public client proves nothing, because its id is not a secret.
    if (client === undefined || client.isPublic) throw new LatchkeyError('invalid_client')
    return mayClientKnow(client)
  }

  app.post('', {
    config: ACCEPTS_KEYS,
    schema: {
      operationId: 'introspectToken',
      summary: 'Check whether a token of any kind is live, and read what it contains',
      description: 'RFC 7662. A machine client can introspect its own tokens, and a holder of `tokens:introspect` ' +
        'all tokens. For any other token, and for one that is not live, the response contains only `active: false`.',
      tags: ['tokens'],
      consumes: OAUTH_BODY_TYPES,
      security: [{ client: [] }, { oauth2: [KNOWS_ALL] }, { bearer: [] }, { key: [] }],
      body: IntrospectRequest,
      response: {
        200: IntrospectResponse,
        ...oauthErrors(...BODY, ...SCOPED, ...OR_KEY, 'invalid_client', 'too_many_failures')
      }
    },
    errorHandler: sendOAuthError
  }, async (request, reply) => {
    const arrivedAt = stopwatch() - reply.elapsedTime
    const mayKnow = await authorize(request, reply, request.body)
    // The moment is taken before the inspection. The inspection may see newer revocations, but the header must not
    // promise that it saw all of them.
    const moment = await reachMoment(follower, stopwatch)
    // As in the feed, a verifier that enforces a bound must know how old the answer was when this node sent it.
    reply
      .header('cache-control', 'no-store')
      .header('pragma', 'no-cache')
      .header('revocation-as-of', Math.floor(moment - arrivedAt))
    return await inspector.inspect(request.body.token, mayKnow)
  })
}

export default introspect
