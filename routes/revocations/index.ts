import { createHash } from 'node:crypto'
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyReply } from 'fastify'
import { asksFor } from '../../lib/http/accept.js'
import { isKnown } from '../../lib/http/etag.js'
import { FEED_SCOPE } from '../../lib/revocation-feed/feed.js'
import { kGuards } from '../../plugins/authentication.js'
import { kCookies } from '../../plugins/cookies.js'
import { kRevocationFeed, sendEvents } from '../../plugins/revocation-feed.js'
import { varyBy } from '../../plugins/adapters/vary.js'
import { SCOPED, problems } from '../../schemas/responses.js'
import { FEED, FeedHeaders, RevocationsQuery } from '../../schemas/revocations.js'

const revocationRoutes: FastifyPluginAsyncTypebox = async function revocationRoutes (app) {
  const feed = app[kRevocationFeed]
  const cookies = app[kCookies]
  const { requireScopes, userOf } = app[kGuards]

  app.get('', {
    schema: {
      operationId: 'followRevocations',
      summary: 'Follow revocations as they happen, or read them page by page',
      description: 'If the request accepts `text/event-stream`, the response is a stream of server-sent events that ' +
        'ends after at most five minutes: reconnect with `Last-Event-ID` to continue. Otherwise the response is a ' +
        'page, which you can poll with `If-None-Match`. Revocations newer than the `as_of` of the latest response ' +
        'are not yet known to the receiver.',
      tags: ['revocations'],
      querystring: RevocationsQuery,
      headers: FeedHeaders,
      response: { ...FEED, ...problems(...SCOPED, 'invalid_request', 'feed_unavailable') }
    },
    preHandler: requireScopes(FEED_SCOPE)
  }, async (request, reply) => {
    const arrivedAt = performance.now() - reply.elapsedTime
    const { headers, query } = request
    varyBy(reply, 'Accept')

    // A client that accepts any type gets a page.
    if (asksFor(headers.accept, 'text/event-stream')) {
      if (request.method === 'HEAD') {
        return sendNothing(reply.type('text/event-stream').header('cache-control', 'no-store'))
      }
      const after = headers['last-event-id']
      const token = cookies.readAccessToken(request)
      sendEvents(reply, onEnd => feed.open({ after, arrivedAt, token, owner: userOf(request).claims.sub, onEnd }))
      return reply
    }

    const { page, moment, time } = await feed.read({ after: query.after, limit: Number(query.limit ?? 1_000) })
    const etag = `"${createHash('sha256').update(JSON.stringify(page)).digest('base64url')}"`
    reply.headers({
      etag,
      'cache-control': 'private, no-cache',
      'revocation-as-of': Math.floor(moment - arrivedAt),
      'revocation-time': time
    })
    if (isKnown(headers['if-none-match'], etag)) return sendNothing(reply.code(304))
    return reply.send(page)
  })
}

/** Sends no body, although the type of the response schema requires one. */
function sendNothing (reply: FastifyReply): FastifyReply {
  return reply.send()
}

export default revocationRoutes
