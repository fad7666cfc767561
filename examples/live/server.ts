// A WebSocket and an event stream that close when the token of their user is revoked or expires, and continue with a
// fresh token. A page shows both. It listens on port 3000:
//
//   node dist/examples/live/server.js

import { randomBytes } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import fastifyWebsocket from '@fastify/websocket'
import { fastify } from 'fastify'
import type { FastifyInstance, FastifyReply } from 'fastify'
import latchkey, { LatchkeyError } from 'fastify-latchkey'
import type { AuthenticatedUser, LatchkeyOptions } from 'fastify-latchkey'
import type { WebSocket } from 'ws'
import { bundleClient, listen } from '../browser/server.js'
import { createConnections } from './connections.js'
import type { Connections, Message } from './connections.js'

// New at each start, because attackers try the passwords that examples publish.
export const PASSWORD = randomBytes(12).toString('base64url')

/** The page is read from the sources, because it is not compiled. */
const FOLDER = new URL('../../../examples/live/', import.meta.url)

/** The token is no longer valid: get a fresh one, or log in. RFC 6455 reserves the codes from 4000 to 4999 for apps. */
const TOKEN_DEAD = 4401

/** Try again later (the registry of close codes for RFC 6455). */
const TRY_LATER = 1013

/** Milliseconds for the other side to answer when the server closes a WebSocket. */
const PARTING = 1_000

/** Builds the app: Latchkey, the connections, and the page. */
export async function build (options: LatchkeyOptions = {}): Promise<FastifyInstance> {
  const app = fastify()
  await app.register(latchkey, {
    issuer: 'http://localhost:3000',
    database: ':memory:',
    prefix: '/auth',
    ...options
  })
  await app.register(fastifyWebsocket, { options: { maxPayload: 16_384 } })
  await app.latchkey.users.add({ username: 'alice', password: PASSWORD, scopes: [] })
  addConnections(app, createConnections())
  await servePage(app)
  return app
}

function addConnections (app: FastifyInstance, connections: Connections): void {
  app.get('/socket', { websocket: true, onRequest: app.authenticate }, (socket, { user }) => {
    serveSocket(app, { socket, user, connections })
  })

  app.get('/events', { onRequest: app.authenticate }, ({ user }, reply) => serveEvents(reply, user, connections))

  // For a page with cookies. The browser refreshes them over HTTP, and this request carries the fresh token.
  app.post<{ Params: { id: string } }>(
    '/connections/:id', { onRequest: app.authenticate }, async ({ params, user }, reply) => {
      const lease = connections.find(params.id, user)
      if (lease === undefined) return reply.code(404).send({ error: 'You have no such connection.' })
      lease.renew(user)
      return reply.code(204).send()
    }
  )

  app.post<{ Body: { text: string } }>(
    '/messages',
    {
      onRequest: app.authenticate,
      schema: {
        body: { type: 'object', required: ['text'], properties: { text: { type: 'string', maxLength: 1_000 } } }
      }
    },
    async ({ body, user }, reply) => {
      connections.send({ type: 'message', from: user.id, text: body.text })
      return reply.code(204).send()
    }
  )
}

/** A WebSocket. A program sends a fresh token over it: `{ "token": "..." }`. */
function serveSocket (
  app: FastifyInstance,
  { socket, user, connections }: { socket: WebSocket, user: AuthenticatedUser, connections: Connections }
): void {
  function close (reason: unknown): void {
    // A closing socket still delivers messages until the other side answers.
    socket.off('message', onMessage)
    const { code = 'invalid_token', statusCode = 401 } = reason instanceof LatchkeyError ? reason : {}
    socket.close(statusCode === 503 ? TRY_LATER : TOKEN_DEAD, code)
    setTimeout(() => socket.terminate(), PARTING).unref()
  }

  async function renew (text: string): Promise<void> {
    const { token } = JSON.parse(text) as { token: string }
    const next = await app.latchkey.tokens.accept(token)
    if (!lease.renew(next)) throw new LatchkeyError('invalid_token')
  }

  function onMessage (data: Buffer): void {
    renew(data.toString()).catch(close)
  }

  socket.on('message', onMessage)
  const lease = connections.open(user, {
    send: message => socket.send(JSON.stringify(message)),
    close
  })
  socket.on('close', () => lease.end())
}

/** An event stream (the HTML standard, section 9.2). */
function serveEvents (reply: FastifyReply, user: AuthenticatedUser, connections: Connections): void {
  const { raw } = reply.hijack()
  raw.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store', 'x-accel-buffering': 'no' })
  const write = (event: string, data: Message | { code: string }): void => {
    raw.write(`event: ${event}\ndata: ${JSON.stringify(data)}\n\n`)
  }
  const lease = connections.open(user, {
    send: message => write(message.type, message),
    close ({ code }) {
      write('end', { code })
      raw.end()
    }
  })
  raw.on('close', () => lease.end())
}

async function servePage (app: FastifyInstance): Promise<void> {
  const client = await bundleClient()
  app.get('/client.js', async (_request, reply) => reply.type('text/javascript; charset=utf-8').send(client))
  for (const [url, file, type] of [['/', 'index.html', 'text/html'], ['/page.js', 'page.js', 'text/javascript']]) {
    const text = await readFile(new URL(file as string, FOLDER), 'utf8')
    app.get(url as string, async (_request, reply) => reply.type(`${type}; charset=utf-8`).send(text))
  }
}

if (process.argv[1] === import.meta.filename) {
  const origin = await listen(await build(), 3000)
  console.log(`Open ${origin} in two tabs, and log in as alice with the password ${PASSWORD}.`)
}
