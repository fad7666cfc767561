import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Static } from 'typebox'
import { readBearer, readClient } from '../../lib/http/credentials.js'
import { LatchkeyError } from '../../lib/errors.js'
import { reachMoment } from '../../lib/revocation-feed/complete-as-of.js'
import { KNOWS_ALL, mayClientKnow } from '../../lib/sessions/introspection.js'
import type { MayKnow } from '../../lib/sessions/introspection.js'
import { kGuards } from '../../plugins/authentication.js'
import { kAuthenticateClient } from '../../plugins/client-authentication.js'
import { sendOAuthError } from '../../plugins/errors.js'
import forms from '../../plugins/forms.js'
import { kInspector } from '../../plugins/introspection.js'
import { kFollower } from '../../plugins/database.js'
import { BODY, SCOPED, oauthErrors } from '../../schemas/responses.js'
import { IntrospectRequest, IntrospectResponse } from '../../schemas/tokens.js'

/** The introspection endpoint: RFC 7662. */
const introspect: FastifyPluginAsyncTypebox = async function introspect (app) {
  await app.register(forms)
  const inspector = app[kInspector]
  const follower = app[kFollower]
  const stopwatch = (): number => performance.now()
  const authenticateClient = app[kAuthenticateClient]
  const requireAll = app[kGuards].requireScopes(KNOWS_ALL)

  /** What the one who asks may know: a registered client of its own tokens, whoever has the scope of all. */
  async function authorize (request: FastifyRequest, reply: FastifyReply, body: Static<typeof IntrospectRequest>): Promise<MayKnow> {
    if (isBearer(request.headers.authorization)) {
      if (readClient(undefined, body) !== undefined) throw new LatchkeyError('invalid_request', { message: 'The request must authenticate in one way: by its own access token, or as a client.' })
      await requireAll(request, reply)
      return () => true
    }
    const client = await authenticateClient(request, reply, body)
    if (client === undefined) throw new LatchkeyError('invalid_client')
    return mayClientKnow(client)
  }

  app.post('', {
    schema: {
      operationId: 'introspectToken',
      summary: 'Whether an access or refresh token is live, and what it says',
      description: 'RFC 7662. A machine client hears of its own tokens, holders of `tokens:introspect` of all. Of anything that is not live it says no more than that.',
      tags: ['tokens'],
      consumes: ['application/x-www-form-urlencoded', 'application/json'],
      security: [{ client: [] }, { oauth2: [KNOWS_ALL] }, { bearer: [] }],
      body: IntrospectRequest,
      response: { 200: IntrospectResponse, ...oauthErrors(...BODY, ...SCOPED, 'invalid_client', 'too_many_failures') }
    },
    errorHandler: sendOAuthError
  }, async (request, reply) => {
    const arrivedAt = stopwatch() - reply.elapsedTime
    const mayKnow = await authorize(request, reply, request.body)
    // Before the look: it may find what is newer, and must not say that it is.
    const moment = await reachMoment(follower, stopwatch)
    // As in the feed: whoever asks for the sake of a bound must know how old the answer was when it was given.
    reply.header('cache-control', 'no-store').header('pragma', 'no-cache').header('revocation-as-of', Math.floor(moment - arrivedAt))
    return await inspector.inspect(request.body.token, mayKnow)
  })
}

function isBearer (authorization: string | undefined): boolean {
  return /^Bearer\b/i.test(authorization ?? '') && readBearer(authorization) !== undefined
}

export default introspect
