import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { LatchkeyError } from '../../lib/errors.js'
import { isKnown } from '../../lib/http/etag.js'
import { kStatusLists } from '../../plugins/status-lists.js'
import { ETAG, withHeaders } from '../../schemas/response-headers.js'
import { problems } from '../../schemas/responses.js'
import {
  NotModified,
  STATUS_LIST_TYPE,
  StatusListParams,
  StatusListQuery,
  StatusListToken
} from '../../schemas/status-lists.js'

const statusLists: FastifyPluginAsyncTypebox = async function statusLists (app) {
  const lists = app[kStatusLists]
  if (lists === undefined) return

  app.get('/:id', {
    config: { isOpenToAllOrigins: true },
    schema: {
      operationId: 'readStatusList',
      summary: 'Read a signed list of ended sessions, for verifiers of access tokens',
      description: 'A Status List Token (draft-ietf-oauth-status-list-21). It has one bit for each session, which is ' +
        '1 once the session has ended. The claim `status` of an access token names its list and its bit. Exists only ' +
        'if the option `statusList` is on.',
      tags: ['service'],
      produces: [STATUS_LIST_TYPE],
      params: StatusListParams,
      querystring: StatusListQuery,
      response: {
        200: withHeaders(StatusListToken, ETAG),
        304: withHeaders(NotModified, ETAG),
        ...problems('not_found', 'invalid_request', 'history_not_kept', 'revocation_unknown')
      }
    }
  }, async (request, reply) => {
    // Section 8.4: the client would take the current list for the list at the time that it asked for.
    if (request.query.time !== undefined) throw new LatchkeyError('history_not_kept')
    const list = await lists.read(request.params.id)
    if (list === undefined) throw new LatchkeyError('not_found')
    // A cache may store it, but must revalidate it each time, because the time in the cache would add to `ttl`.
    reply.header('cache-control', 'public, no-cache').header('etag', list.etag)
    if (isKnown(request.headers['if-none-match'], list.etag)) return reply.code(304).send(null)
    return reply.type(STATUS_LIST_TYPE).send(list.token)
  })
}

export default statusLists
