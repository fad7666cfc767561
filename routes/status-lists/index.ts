import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { LatchkeyError } from '../../lib/errors.js'
import { isKnown } from '../../lib/http/etag.js'
import { kStatusLists } from '../../plugins/status-lists.js'
import { problems } from '../../schemas/responses.js'
import { NotModified, STATUS_LIST_TYPE, StatusListParams, StatusListQuery, StatusListToken } from '../../schemas/status-lists.js'

const statusLists: FastifyPluginAsyncTypebox = async function statusLists (app) {
  const lists = app[kStatusLists]
  if (lists === undefined) return

  app.get('/:id', {
    schema: {
      operationId: 'readStatusList',
      summary: 'Which sessions have ended, for verifiers of access tokens',
      description: 'A Status List Token (draft-ietf-oauth-status-list-21): of a bit for each session, 1 once it has ended. Access tokens say in `status` which list and which bit is theirs. Only where the option `statusList` is on.',
      tags: ['service'],
      produces: [STATUS_LIST_TYPE],
      params: StatusListParams,
      querystring: StatusListQuery,
      response: { 200: StatusListToken, 304: NotModified, ...problems('not_found', 'invalid_request', 'history_not_kept', 'revocation_unknown') }
    }
  }, async (request, reply) => {
    // Section 8.4. The list of today would pass for that of another day.
    if (request.query.time !== undefined) throw new LatchkeyError('history_not_kept')
    const list = await lists.read(request.params.id)
    if (list === undefined) throw new LatchkeyError('not_found')
    // A cache may keep it, and has to ask us each time: what it held back would come on top of `ttl`.
    reply.header('cache-control', 'public, no-cache').header('etag', list.etag)
    if (isKnown(request.headers['if-none-match'], list.etag)) return reply.code(304).send(null)
    return reply.type(STATUS_LIST_TYPE).send(list.token)
  })
}

export default statusLists
