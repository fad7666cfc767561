import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { assertNoClient } from '../../lib/credentials.js'
import { LatchkeyError } from '../../lib/errors.js'
import { sendOAuthError } from '../../plugins/errors.js'
import forms from '../../plugins/forms.js'
import { kIssuing } from '../../plugins/issuing.js'
import { kLimitAttempts } from '../../plugins/rate-limit.js'
import { kSessions } from '../../plugins/sessions.js'
import { oauthErrors } from '../../schemas/errors.js'
import { TokenRequest, TokenResponse } from '../../schemas/tokens.js'

/** The token endpoint: RFC 6749 section 3.2. */
const token: FastifyPluginAsyncTypebox = async function token (app) {
  await app.register(forms)
  const { logIn, sendTokens } = app[kIssuing]
  const sessions = app[kSessions]
  const limitAttempts = app[kLimitAttempts]

  app.post('', {
    schema: {
      operationId: 'createToken',
      summary: 'Get an access token for a password or a refresh token',
      tags: ['tokens'],
      consumes: ['application/x-www-form-urlencoded', 'application/json'],
      body: TokenRequest,
      response: { 200: TokenResponse, ...oauthErrors(400, 401, 413, 415, 429) }
    },
    // A refresh token cannot be guessed, and many people may refresh from one address.
    async preHandler (request, reply) {
      if (request.body.grant_type !== 'refresh_token') await limitAttempts.call(app, request, reply)
    },
    errorHandler: sendOAuthError
  }, async (request, reply) => {
    const { grant_type: grantType, username, password, refresh_token: refreshToken, scope } = request.body
    assertNoClient(request.headers.authorization, request.body)

    // FastAPI's OAuth2PasswordRequestForm takes a form without grant_type, and its clients send none.
    switch (grantType ?? (username === undefined ? undefined : 'password')) {
      case 'password':
        if (username === undefined || password === undefined) throw lacks(username === undefined ? 'username' : 'password')
        return await sendTokens(reply, await logIn(request, { username, password, scope }))
      case 'refresh_token':
        if (refreshToken === undefined) throw lacks('refresh_token')
        return await sendTokens(reply, await sessions.refresh(refreshToken, { scope, address: request.ip }))
      case undefined:
        throw lacks('grant_type')
      default:
        throw new LatchkeyError('unsupported_grant_type')
    }
  })
}

function lacks (member: string): LatchkeyError {
  return new LatchkeyError('invalid_request', { message: `The body lacks the member '${member}'.` })
}

export default token
