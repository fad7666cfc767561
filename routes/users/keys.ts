import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { toKeyView } from '../../lib/personal-access-tokens/view.js'
import { kGuards } from '../../plugins/authentication.js'
import { ACCEPTS_KEYS } from '../../plugins/guards/accepts.js'
import { kPersonalAccessTokens } from '../../plugins/personal-access-tokens.js'
import { KeyList, UserKeyParams } from '../../schemas/keys.js'
import { OR_KEY, SCOPED, problems } from '../../schemas/responses.js'
import { NoContent } from '../../schemas/service.js'
import { UserParams } from '../../schemas/users.js'

/** The personal access tokens of another user. */
const userKeys: FastifyPluginAsyncTypebox = async function userKeys (app) {
  const personalAccessTokens = app[kPersonalAccessTokens]
  const { actorOf, requireScopes } = app[kGuards]

  app.get('/:id/keys', {
    config: ACCEPTS_KEYS,
    schema: {
      operationId: 'listKeysOfUser',
      summary: 'List the personal access tokens of a user, newest first',
      description: 'Returns what the user gets from `GET /keys`.',
      tags: ['users', 'keys'],
      params: UserParams,
      response: { 200: KeyList, ...problems(...SCOPED, ...OR_KEY, 'invalid_request') }
    },
    preHandler: requireScopes('users:read')
  }, async request => ({ keys: (await personalAccessTokens.list(request.params.id)).map(toKeyView) }))

  app.delete('/:id/keys/:key_id', {
    schema: {
      operationId: 'revokeKeyOfUser',
      summary: 'Revoke a personal access token of a user',
      description: 'Latchkey responds once the revocation is durable and in force. Callers cannot revoke the tokens ' +
        'of a user who has built-in scopes that they lack.',
      tags: ['users', 'keys'],
      params: UserKeyParams,
      response: { 204: NoContent, ...problems(...SCOPED, 'invalid_request', 'cross_site_request', 'not_found') }
    },
    preHandler: requireScopes('users:write')
  }, async (request, reply) => {
    const { id: userId, key_id: id } = request.params
    await personalAccessTokens.revoke(id, { userId, by: actorOf(request) })
    return reply.code(204).send(null)
  })
}

export default userKeys
