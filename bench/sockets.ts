import { fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { setTimeout as delay } from 'node:timers/promises'
import fastifyWebsocket from '@fastify/websocket'
import { fastify } from 'fastify'
import type { FastifyInstance } from 'fastify'
import latchkey from '../app.js'
import type { AuthenticatedUser } from '../app.js'
import { createId } from '../lib/identity/ids.js'
import verifier from '../verifier/plugin.js'
import { median, spread, toText } from './section.js'
import type { Section } from './section.js'
import type { Answer, Request } from './socket-clients.js'

// Open WebSockets whose tokens are revoked: the memory of a signal, and the time until the sockets close. To run only
// this:
//
//   node --expose-gc dist/bench/sockets.js

const SOCKETS = process.argv.includes('--quick') ? 2_000 : 10_000

/** How many sockets each user has. */
const EACH = 100

/** How many users are logged out, one after the other. */
const ROUNDS = 10

/** How long the load of open sockets is measured, in milliseconds. */
const IDLE = 2_000

/** What is measured with one host. */
interface Cost {
  /** Bytes of a socket without its signal, and of its signal. */
  socket: number
  signal: number
  /** The share of a core that the open sockets take. */
  idle: number
  /** Milliseconds from the acknowledgement to the close of a user's last socket, in each round. */
  user: number[]
  /** Milliseconds until the last of the other sockets was closed. */
  all: number
  /** The longest block of the event loop meanwhile, in milliseconds. */
  block: number
}

/** An app with sockets, and its users: their signals are read only when `watch` is called. */
interface Host {
  app: FastifyInstance
  watch (): void
}

/** Returns the used memory in bytes. */
async function usedMemory (): Promise<number> {
  for (let round = 0; round < 3; round++) {
    globalThis.gc?.()
    await delay(100)
  }
  const { heapUsed, external } = process.memoryUsage()
  return heapUsed + external
}

async function buildHost (register: (app: FastifyInstance) => Promise<void>): Promise<Host> {
  const app = fastify()
  await register(app)
  await app.register(fastifyWebsocket)
  const sockets: Array<{ user: AuthenticatedUser, close: () => void }> = []
  app.get('/socket', { websocket: true, onRequest: app.authenticate }, (socket, { user }) => {
    sockets.push({ user, close: () => socket.close(4401) })
  })
  return {
    app,
    watch () {
      for (const { user, close } of sockets.splice(0)) user.signal.addEventListener('abort', close, { once: true })
    }
  }
}

const originOf = ({ server }: FastifyInstance): string => `http://127.0.0.1:${(server.address() as AddressInfo).port}`

/** Returns a port that is free now. The service must know its own URL before it listens. */
async function findPort (): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  return port
}

/** Starts the service. Its routes revoke the tokens of a user, and the tokens of all users. */
async function buildService (database: string): Promise<Host> {
  const port = await findPort()
  const host = await buildHost(async app => {
    await app.register(latchkey, { database, issuer: `http://127.0.0.1:${port}`, rateLimit: false })
    const { revocations } = app.latchkey
    app.get<{ Params: { id: string } }>('/users/:id/end', async ({ params }, reply) => {
      await revocations.revokeUser(params.id)
      return reply.code(204).send()
    })
    app.get('/end', async (_request, reply) => {
      await revocations.write([], ({ revoke }) => revoke.client('latchkey'))
      return reply.code(204).send()
    })
  })
  await host.app.listen({ host: '127.0.0.1', port })
  return host
}

/** Signs a token for each socket. Each one belongs to a session of its own. */
async function signAll (service: FastifyInstance): Promise<string[]> {
  return await Promise.all(Array.from({ length: SOCKETS }, async (_, at) => await service.latchkey.tokens.sign({
    user: { id: `user-${Math.floor(at / EACH)}` },
    sessionId: createId(Date.now()),
    clientId: 'latchkey',
    scopes: [],
    issuedAt: Date.now(),
    claims: {}
  })))
}

/** Asks the process that holds the other ends of the sockets. */
type Ask = (request: Request) => Promise<Answer>

function startClients (): { ask: Ask, stop: () => void } {
  const clients = fork(new URL('./socket-clients.js', import.meta.url), { execArgv: [] })
  const failed = once(clients, 'exit').then(([code]) => { throw new Error(`The clients exited with code ${code}`) })
  failed.catch(() => {}) // They also exit at the end.
  return {
    async ask (request) {
      const answered = new Promise<Answer>(resolve => clients.once('message', resolve))
      clients.send(request)
      return await Promise.race([answered, failed])
    },
    stop: () => { clients.kill() }
  }
}

async function measure (ask: Ask, service: FastifyInstance, host: Host): Promise<Cost> {
  const tokens = await signAll(service)
  const empty = await usedMemory()
  await ask({ open: tokens, url: `${originOf(host.app)}/socket` })
  const opened = await usedMemory()
  host.watch()
  const watched = await usedMemory()

  const before = process.cpuUsage()
  await delay(IDLE)
  const { user: own, system } = process.cpuUsage(before)

  const user: number[] = []
  for (let round = 0; round < ROUNDS; round++) {
    const url = `${originOf(service)}/users/user-${round}/end`
    user.push(Math.max(...await ask({ end: [round * EACH, (round + 1) * EACH], url })))
  }
  const blocks = monitorEventLoopDelay({ resolution: 1 })
  blocks.enable()
  const rest = await ask({ end: [ROUNDS * EACH, SOCKETS], url: `${originOf(service)}/end` })
  blocks.disable()
  return {
    socket: (opened - empty) / SOCKETS,
    signal: (watched - opened) / SOCKETS,
    idle: (own + system) / 1_000 / IDLE,
    user,
    all: Math.max(...rest),
    block: blocks.max / 1e6
  }
}

function describe (plugin: Cost, remote: Cost): Section {
  const row = (name: string, read: (cost: Cost) => string): Section['rows'][number] =>
    ({ name, cells: [plugin, remote].map(read) })
  const count = SOCKETS.toLocaleString('en')
  const slowest = Math.max(median(plugin.user), median(remote.user))
  return {
    title: `${count} open WebSockets, each with a token of its own`,
    columns: ['in the service', 'in an app with the verifier'],
    rows: [
      row('memory of a socket', ({ socket }) => `${(socket / 1e3).toFixed(1)} kB`),
      row('memory of its signal', ({ signal }) => `${(signal / 1e3).toFixed(1)} kB`),
      row('share of a core when idle', ({ idle }) => `${(idle * 100).toFixed(1)} %`),
      row(`a user is logged out: ${EACH} sockets closed after`, ({ user }) => `${spread(user, 1)} ms`),
      row('everyone is logged out: the rest closed after', ({ all }) => `${all.toFixed(0)} ms`),
      row('longest block of the event loop meanwhile', ({ block }) => `${block.toFixed(0)} ms`)
    ],
    verdicts: [
      { target: 'sockets of a user: at most 1 s', measured: `${slowest.toFixed(1)} ms`, met: slowest <= 1_000 },
      {
        target: 'memory of a signal: at most 4 kB',
        measured: `${(plugin.signal / 1e3).toFixed(1)} kB`,
        met: plugin.signal <= 4_000
      }
    ],
    notes: [
      'The time runs from the response to the revocation to the arrival of the last close frame, in the process that ' +
        'holds the other ends. It is negative if the sockets closed before the response arrived. The memory of a ' +
        'signal includes its listener.'
    ]
  }
}

if (globalThis.gc === undefined) throw new Error('Start this with: node --expose-gc')

const folder = await mkdtemp(join(tmpdir(), 'latchkey-sockets-'))
const { ask, stop } = startClients()
try {
  const service = await buildService(join(folder, 'latchkey.db'))
  const issuer = originOf(service.app)
  const plugin = await measure(ask, service.app, service)
  const { client, secret } = await service.app.latchkey.clients.add({ name: 'api', scopes: ['revocations:read'] })
  const remote = await buildHost(async app => {
    await app.register(verifier, { issuer, clientId: client.id, clientSecret: secret })
  })
  await remote.app.listen({ host: '127.0.0.1', port: 0 })
  await remote.app.latchkeyVerifier.ready()
  const section = describe(plugin, await measure(ask, service.app, remote))
  if (process.send === undefined) console.log(toText(section))
  else process.send(section)
  await remote.app.close()
  await service.app.close()
} finally {
  stop()
  await rm(folder, { recursive: true })
}
