import fp from 'fastify-plugin'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Client } from '../lib/clients/clients.js'
import { readClient } from '../lib/http/credentials.js'
import { LatchkeyError } from '../lib/errors.js'
import { anonymous } from '../lib/ledger/events.js'
import { kClients } from './clients.js'
import { kLimitAttempts } from './rate-limit.js'
import { kThrottle } from './throttle.js'

/**
 * The registered client that a request authenticates as; undefined where it says nothing of one: a first-party app.
 * Throws `invalid_client` in the same words and time whatever was wrong, `invalid_request`, or a 429 where too many failed from there.
 */
type AuthenticateClient = (request: FastifyRequest, reply: FastifyReply, body: { client_id?: string, client_secret?: string }) => Promise<Client | undefined>

export const kAuthenticateClient = Symbol('latchkey.authenticateClient')

declare module 'fastify' {
  interface FastifyInstance {
    [kAuthenticateClient]: AuthenticateClient
  }
}

/** Client authentication at the OAuth endpoints: RFC 6749 section 2.3. */
export default fp(async function latchkeyClientAuthentication (app) {
  const clients = app[kClients]
  const throttle = app[kThrottle]
  const limitAttempts = app[kLimitAttempts]

  app.decorate(kAuthenticateClient, async function authenticateClient (request, reply, body) {
    const credentials = readClient(request.headers.authorization, body)
    if (credentials === undefined) return undefined
    const { id, secret } = credentials
    const client = await clients.authenticate(id, secret)
    const own = throttle.clientBucket(id, request.ip)
    // Nothing is written for a client that authenticates rightly, as often as it likes.
    if (client !== null && await throttle.isClean(own)) return client

    const subject = client?.id ?? (await clients.find(id))?.id
    // Whether the secret was right or not: while the bucket is blocked nothing in the answer may tell.
    await limitAttempts.call(app, request, reply)
    const bucket = client === null ? await throttle.findFailureBucket(subject, request.ip) : own
    const actor = anonymous(request.ip)
    const failure = 'client_authentication_failed'
    return await throttle.attempt(bucket, { actor, subject: subject ?? null, failure }, async () => {
      if (client === null) throw new LatchkeyError('invalid_client')
      return client
    })
  })
}, { name: 'latchkey-client-authentication', fastify: '5.x', dependencies: ['latchkey-clients', 'latchkey-rate-limit', 'latchkey-throttle'] })
