import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { toKeyView } from '../../lib/personal-access-tokens/view.js'
import { kGuards } from '../../plugins/authentication.js'
import { kIssuing } from '../../plugins/issuing.js'
import { kPersonalAccessTokens } from '../../plugins/personal-access-tokens.js'
import { CreatedKey, KeyList, KeyParams, KeyRequest } from '../../schemas/keys.js'
import { BODY, GUARDED, problems } from '../../schemas/responses.js'
import { NoContent } from '../../schemas/service.js'

/**
 * The maximum age of the login of a user who creates a key. Without a limit, a stolen access token or a script in a
 * page could turn 15 minutes into years.
 */
const RECENT = '15m'

/** The personal access tokens of the caller. These routes require an access token, so a key cannot manage keys. */
const keyRoutes: FastifyPluginAsyncTypebox = async function keyRoutes (app) {
  const personalAccessTokens = app[kPersonalAccessTokens]
  const { actorOf, requireRecentLogin, requireUser, userOf } = app[kGuards]
  const { forbidCaching } = app[kIssuing]

  app.post('', {
    schema: {
      operationId: 'createKey',
      summary: 'Create a personal access token for one of your programs',
      description: 'Only this response contains its value. Send it as `Authorization: Bearer lkp_...` to routes that ' +
        'accept personal access tokens. At each request it has those of its `scopes` that you still have. You must ' +
        'have logged in within the last 15 minutes.',
      tags: ['keys'],
      body: KeyRequest,
      response: {
        201: CreatedKey,
        ...problems(
          ...BODY, ...GUARDED, 'insufficient_user_authentication', 'invalid_scope', 'user_required',
          'cross_site_request', 'not_found'
        )
      }
    },
    preHandler: requireRecentLogin(RECENT)
  }, async (request, reply) => {
    const { name, scopes, expires_in: expiresIn } = request.body
    const { value, token } = await personalAccessTokens.create(
      userOf(request).id, { name, scopes, expiresIn }, actorOf(request)
    )
    forbidCaching(reply)
    return reply.code(201).send({ ...toKeyView(token), value })
  })

  app.get('', {
    schema: {
      operationId: 'listOwnKeys',
      summary: 'List your personal access tokens, newest first',
      description: 'The list does not contain the values, because Latchkey stores only their hashes.',
      tags: ['keys'],
      response: { 200: KeyList, ...problems(...GUARDED, 'user_required') }
    },
    preHandler: requireUser
  }, async request => ({ keys: (await personalAccessTokens.list(userOf(request).id)).map(toKeyView) }))

  app.delete('/:id', {
    schema: {
      operationId: 'revokeOwnKey',
      summary: 'Revoke one of your personal access tokens',
      description: 'Latchkey responds once the revocation is durable and in force.',
      tags: ['keys'],
      params: KeyParams,
      response: {
        204: NoContent,
        ...problems(...GUARDED, 'invalid_request', 'user_required', 'cross_site_request', 'not_found')
      }
    },
    preHandler: requireUser
  }, async (request, reply) => {
    await personalAccessTokens.revoke(request.params.id, { userId: userOf(request).id, by: actorOf(request) })
    return reply.code(204).send(null)
  })
}

export default keyRoutes
