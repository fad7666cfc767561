import fp from 'fastify-plugin'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { createClientAuthentication } from '../lib/clients/authentication.js'
import type { ClientRequest } from '../lib/clients/authentication.js'
import type { Client } from '../lib/clients/clients.js'
import { kClients } from './clients.js'
import { kLimitAttempts } from './rate-limit.js'
import { kThrottle } from './throttle.js'

/** Authenticates the client of a request: see `createClientAuthentication`. */
type AuthenticateClient = (
  request: FastifyRequest, reply: FastifyReply, body: ClientRequest['body']
) => Promise<Client | undefined>

export const kAuthenticateClient = Symbol('latchkey.authenticateClient')

declare module 'fastify' {
  interface FastifyInstance {
    [kAuthenticateClient]: AuthenticateClient
  }
}

/** Client authentication at the OAuth endpoints. */
export default fp(async function latchkeyClientAuthentication (app) {
  const authenticate = createClientAuthentication({ clients: app[kClients], throttle: app[kThrottle] })
  const limitAttempts = app[kLimitAttempts]

  app.decorate(kAuthenticateClient, (request, reply, body) => authenticate({
    address: request.ip,
    authorization: request.headers.authorization,
    body,
    countAttempt: async () => { await limitAttempts.call(app, request, reply) }
  }))
}, {
  name: 'latchkey-client-authentication',
  fastify: '5.x',
  dependencies: ['latchkey-clients', 'latchkey-rate-limit', 'latchkey-throttle']
})
