import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { Client } from '../../lib/clients/clients.js'
import { LatchkeyError } from '../../lib/errors.js'
import { kAuthenticateClient } from '../../plugins/client-authentication.js'
import { kClients } from '../../plugins/clients.js'
import { sendOAuthError } from '../../plugins/errors.js'
import forms from '../../plugins/forms.js'
import { kIssuing } from '../../plugins/issuing.js'
import { kLimitAttempts } from '../../plugins/rate-limit.js'
import { kSessions } from '../../plugins/sessions.js'
import { kSettings } from '../../plugins/settings.js'
import type { GrantType } from '../../schemas/clients.js'
import { BODY, oauthErrors } from '../../schemas/responses.js'
import { TokenRequest, TokenResponse } from '../../schemas/tokens.js'

/** The grants whose credentials are 256 random bits. */
const UNGUESSABLE: ReadonlyArray<string | undefined> = ['refresh_token', 'client_credentials']

/** The token endpoint: RFC 6749 section 3.2. */
const token: FastifyPluginAsyncTypebox = async function token (app) {
  await app.register(forms)
  const { logIn, sendTokens } = app[kIssuing]
  const sessions = app[kSessions]
  const clients = app[kClients]
  const authenticateClient = app[kAuthenticateClient]
  const limitAttempts = app[kLimitAttempts]
  const { passwordGrant } = app[kSettings]

  app.post('', {
    schema: {
      operationId: 'createToken',
      summary: 'Get an access token with a password, a refresh token, or the credentials of a machine client',
      description: 'RFC 6749. Takes a form, or the same members as JSON. The token carries all granted scopes, or ' +
        'the subset that the request asks for. `client_credentials` returns no refresh token. Parallel and repeated ' +
        'exchanges of a refresh token within the grace period receive the same successor.',
      tags: ['tokens'],
      consumes: ['application/x-www-form-urlencoded', 'application/json'],
      security: [{ client: [] }, {}],
      body: TokenRequest,
      response: { 200: TokenResponse, ...oauthErrors(...BODY, 'invalid_scope', 'unsupported_grant_type', 'unauthorized_client', 'invalid_credentials', 'invalid_refresh_token', 'invalid_client', 'too_many_requests', 'too_many_failures', 'overloaded', 'account_changed') }
    },
    // Credentials that cannot be guessed need no limit. Many people may refresh from one address, and a client may ask
    // as often as it likes.
    async preHandler (request, reply) {
      if (!UNGUESSABLE.includes(request.body.grant_type)) await limitAttempts.call(app, request, reply)
    },
    errorHandler: sendOAuthError
  }, async (request, reply) => {
    const { grant_type: grantType, username, password, refresh_token: refreshToken, scope } = request.body
    const client = await authenticateClient(request, reply, request.body)

    // FastAPI's OAuth2PasswordRequestForm accepts a form without grant_type, so its clients may omit it.
    switch (grantType ?? (username === undefined ? undefined : 'password')) {
      case 'password':
        if (!passwordGrant) throw new LatchkeyError('unsupported_grant_type')
        assertMayUse(client, 'password')
        if (username === undefined || password === undefined) throw lacks(username === undefined ? 'username' : 'password')
        return await sendTokens(reply, await logIn(request, { username, password, scope, client }))
      case 'refresh_token':
        assertMayUse(client, 'password')
        if (refreshToken === undefined) throw lacks('refresh_token')
        return await sendTokens(reply, await sessions.refresh(refreshToken, { client, scope, address: request.ip }))
      case 'client_credentials':
        if (client === undefined) throw new LatchkeyError('invalid_client')
        assertMayUse(client, 'client_credentials')
        return await sendTokens(reply, await clients.issue(client, { scope, address: request.ip }))
      case undefined:
        throw lacks('grant_type')
      default:
        throw new LatchkeyError('unsupported_grant_type')
    }
  })
}

/** RFC 6749 section 5.2. A first-party app may use each grant that needs no registered client. */
function assertMayUse (client: Client | undefined, grant: GrantType): void {
  if (client !== undefined && !client.grants.includes(grant)) throw new LatchkeyError('unauthorized_client')
}

function lacks (member: string): LatchkeyError {
  return new LatchkeyError('invalid_request', { message: `The body lacks the member '${member}'.` })
}

export default token
