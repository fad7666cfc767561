import findMyWay from 'find-my-way'
import fp from 'fastify-plugin'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { LatchkeyError } from '../lib/errors.js'

/**
 * Responds 404 to unknown paths under the instance's prefix, and 405 with `Allow` (RFC 9110 section 15.5.6) to known
 * ones with another method. Register it before the routes, and only if all paths are ours. Without a prefix they are
 * the host's.
 */
export default fp(async function latchkeyNotFound (app) {
  const router = findMyWay()
  const methods = new Set<string>()
  app.addHook('onRoute', ({ method, url }) => {
    for (const name of [method].flat()) {
      methods.add(name)
      router.on(name as findMyWay.HTTPMethod, url, () => {})
    }
  })

  function refuse (request: FastifyRequest, reply: FastifyReply): LatchkeyError {
    const path = request.url.split('?', 1)[0] ?? ''
    const allowed = [...methods].filter(method => router.find(method as findMyWay.HTTPMethod, path) !== null)
    if (allowed.length === 0) return new LatchkeyError('not_found')
    reply.header('allow', allowed.join(', '))
    return new LatchkeyError('method_not_allowed')
  }

  app.setNotFoundHandler((request, reply) => { throw refuse(request, reply) })
  // This runs before the body is read, because errors in the body do not matter here.
  app.addHook('onRequest', (request, reply, done) => {
    if (request.is404) done(refuse(request, reply))
    else done()
  })
}, { name: 'latchkey-not-found', fastify: '5.x' })
