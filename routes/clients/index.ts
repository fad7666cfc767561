import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyReply } from 'fastify'
import { LatchkeyError } from '../../lib/errors.js'
import type { Client } from '../../lib/clients/clients.js'
import { formatScope, parseScope } from '../../lib/identity/scopes.js'
import { kGuards } from '../../plugins/authentication.js'
import { kClients } from '../../plugins/clients.js'
import {
  AddedClient,
  ClientPage,
  ClientParams,
  ClientQuery,
  ClientRequest,
  ClientView,
  ClientWithSecret
} from '../../schemas/clients.js'
import { BODY, SCOPED, problems } from '../../schemas/responses.js'
import { NoContent } from '../../schemas/service.js'

/** Machine clients, for administrators. */
const clientRoutes: FastifyPluginAsyncTypebox = async function clientRoutes (app) {
  const clients = app[kClients]
  const { actorOf, requireScopes } = app[kGuards]
  const preHandler = requireScopes('clients:write')

  app.get('', {
    schema: {
      operationId: 'listClients',
      summary: 'List the machine clients, oldest first',
      description: 'Returns one page at a time, without the secrets.',
      tags: ['clients'],
      querystring: ClientQuery,
      response: { 200: ClientPage, ...problems(...SCOPED, 'invalid_request') }
    },
    preHandler
  }, async (request) => {
    const { cursor, limit = '100' } = request.query
    const found = await clients.list({ after: cursor, limit: Number(limit) + 1 })
    const page = found.slice(0, Number(limit))
    return { clients: page.map(toView), next: found.length > page.length ? page.at(-1)?.id ?? null : null }
  })

  app.post('', {
    schema: {
      operationId: 'addClient',
      summary: 'Register a client and show its secret once',
      description: 'Only the hash of the secret is stored. A public client has no secret. It sends only its ' +
        '`client_id`, and can only log users in and refresh their sessions. Callers can grant only ' +
        'built-in scopes that they have.',
      tags: ['clients'],
      body: ClientRequest,
      response: { 201: AddedClient, ...problems(...BODY, ...SCOPED, 'invalid_scope', 'cross_site_request') }
    },
    preHandler
  }, async (request, reply) => {
    const { name, scope = '', grants, public: isPublic } = request.body
    const client = { name, scopes: parseScope(scope) }
    reply.code(201)
    if (isPublic !== true) return withSecret(reply, await clients.add({ ...client, grants }, actorOf(request)))
    if (grants?.some(grant => grant !== 'password') === true) {
      throw new LatchkeyError('invalid_request', { message: "The 'grants' of a public client can only be 'password'." })
    }
    return toView(await clients.addPublic(client, actorOf(request)))
  })

  app.get('/:id', {
    schema: {
      operationId: 'readClient',
      summary: 'Read a machine client',
      description: 'Returns the client without its secret.',
      tags: ['clients'],
      params: ClientParams,
      response: { 200: ClientView, ...problems(...SCOPED, 'invalid_request', 'not_found') }
    },
    preHandler
  }, async (request) => {
    const client = await clients.find(request.params.id)
    if (client === null) throw new LatchkeyError('not_found', { message: 'There is no such client.' })
    return toView(client)
  })

  app.post('/:id/secret', {
    schema: {
      operationId: 'rotateClientSecret',
      summary: 'Replace the secret of a machine client and show the new secret once',
      description: 'For a secret that has leaked. The old secret and the access tokens issued before are invalid at ' +
        'once, so the two secrets are never valid together. Sessions continue.',
      tags: ['clients'],
      params: ClientParams,
      response: { 200: ClientWithSecret, ...problems(...SCOPED, ...BODY, 'cross_site_request', 'not_found') }
    },
    preHandler
  }, async (request, reply) => withSecret(reply, await clients.rotateSecret(request.params.id, actorOf(request))))

  app.delete('/:id', {
    schema: {
      operationId: 'removeClient',
      summary: 'Delete a machine client with all its sessions and tokens',
      description: 'The tokens are invalid at once. The id is never used again.',
      tags: ['clients'],
      params: ClientParams,
      response: { 204: NoContent, ...problems(...SCOPED, 'invalid_request', 'cross_site_request', 'not_found') }
    },
    preHandler
  }, async (request, reply) => {
    await clients.remove(request.params.id, actorOf(request))
    return reply.code(204).send(null)
  })
}

function toView ({ id, name, scopes, grants, isPublic, createdAt, secretChangedAt }: Client): ClientView {
  return {
    id,
    name,
    scope: formatScope(scopes),
    grants,
    public: isPublic,
    created_at: new Date(createdAt).toISOString(),
    secret_changed_at: new Date(secretChangedAt).toISOString()
  }
}

function withSecret (reply: FastifyReply, { client, secret }: { client: Client, secret: string }) {
  reply.header('cache-control', 'no-store').header('pragma', 'no-cache')
  return { ...toView(client), secret }
}

export default clientRoutes
