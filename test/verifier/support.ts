import { createServer } from 'node:http'
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import { connect, createServer as createTcpServer } from 'node:net'
import type { AddressInfo, Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import type { FastifyInstance } from 'fastify'
import type { Test } from 'tap'
import type { LatchkeyOptions } from '../../app.js'
import { createId } from '../../lib/identity/ids.js'
import { generateKeyText, toSigningKey } from '../../lib/keys/material.js'
import type { SigningKey } from '../../lib/keys/material.js'
import type { Algorithm } from '../../schemas/algorithms.js'
import { createVerifier } from '../../verifier/index.js'
import type { Verifier, VerifierOptions } from '../../verifier/index.js'
import { PASSWORD } from '../helper.js'
import { signJws } from '../lib/support.js'
import { buildHost } from '../routes/support.js'

export const CREDENTIALS = { clientId: 'lkc_verifier', clientSecret: 'a secret: with / and +' }

/** The clocks of a machine, to be set and stopped. */
export interface MachineClocks {
  now (): number
  /** As a verifier takes them. */
  options: { now (): number, stopwatch (): number }
  /** Sets the wall clock by so many milliseconds. */
  setWall (milliseconds: number): void
  /** Time goes by on both. */
  pass (milliseconds: number): void
  /** Time goes by that the stopwatch does not see. */
  sleep (milliseconds: number): void
}

/** Stand still until they are told otherwise. */
export function createMachineClocks (): MachineClocks {
  let [wall, stopwatch] = [Date.now(), 1_000]
  return {
    now: () => wall,
    options: { now: () => wall, stopwatch: () => stopwatch },
    setWall (milliseconds) { wall += milliseconds },
    pass (milliseconds) {
      wall += milliseconds
      stopwatch += milliseconds
    },
    sleep (milliseconds) { wall += milliseconds }
  }
}

interface WireRule { kind: string, value: string, issued_before?: number, expires_at: number }

/** One stream of the fake service. */
interface FakeStream {
  readonly cursor: string | undefined
  rules (rules: readonly WireRule[], id?: string): void
  state (asOf: number, others?: { time?: number, keys?: string[], horizon?: number }): void
  /** Any text. */
  raw (text: string): void
  end (): void
  readonly closed: boolean
}

type Handler = (request: IncomingMessage, body: string, response: ServerResponse) => void

/** A service that does what the wire format says, when the test says so. */
export interface FakeService {
  origin: string
  issuer: string
  key: SigningKey
  /** What the JWKS shows. */
  jwks: object[]
  metadata: Record<string, unknown>
  /** How often each path was asked for. */
  counts: Record<string, number>
  streams: FakeStream[]
  /** Instead of the usual answer of a path. */
  handlers: Record<string, Handler>
  /** Lives of access tokens, in seconds. */
  expiresIn: number
  authorizations: Array<string | undefined>
  /** Signs a token of alice. */
  token (claims?: Record<string, unknown>, key?: SigningKey): string
  /** The stream number `index`, when it is there. */
  stream (index: number): Promise<FakeStream>
  /** Says on the last stream that everything was told just now. */
  beat (asOf?: number): Promise<void>
}

export async function generateKey (algorithm: Algorithm = 'ES256'): Promise<SigningKey> {
  const kid = createId(Date.now())
  return toSigningKey({ kid, algorithm }, await generateKeyText(algorithm))
}

/** Waits until something is so; fails by the timeout of the test. */
export async function until (condition: () => boolean | Promise<boolean>): Promise<void> {
  while (!await condition()) await sleep(5)
}

export async function createFakeService (
  t: Test, { path = '', now = Date.now }: { path?: string, now?: () => number } = {}
): Promise<FakeService> {
  const key = await generateKey()
  const streams: FakeStream[] = []
  const server = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', chunk => chunks.push(chunk)).on(
      'end', () => answer(request, Buffer.concat(chunks).toString(), response)
    )
  })
  const origin = await listenOn(t, server)
  const issuer = origin + path

  const service: FakeService = {
    origin,
    issuer,
    key,
    jwks: [key.jwk as object],
    metadata: {
      issuer,
      token_endpoint: `${issuer}/token`,
      jwks_uri: `${issuer}/jwks`,
      introspection_endpoint: `${issuer}/introspect`,
      revocation_feed_endpoint: `${issuer}/revocations`,
      scopes_supported: ['admin', 'items:read']
    },
    counts: {},
    streams,
    handlers: {},
    expiresIn: 900,
    authorizations: [],
    token (claims = {}, signer = service.key) {
      const iat = Math.floor(now() / 1000)
      return signJws(signer, { alg: signer.algorithm, typ: 'at+jwt', kid: signer.kid }, {
        iss: issuer,
        sub: 'alice',
        aud: issuer,
        client_id: 'latchkey',
        exp: iat + 900,
        iat,
        jti: createId(
          iat * 1000
        ),
        sid: 'session',
        scope: 'admin',
        ...claims
      })
    },
    async stream (index) {
      await until(() => streams[index] !== undefined)
      return streams[index] as FakeStream
    },
    async beat (asOf = 0) {
      const stream = await service.stream(Math.max(streams.length - 1, 0))
      stream.state(asOf)
    }
  }

  function json (response: ServerResponse, body: unknown, status = 200, headers: Record<string, string> = {}): void {
    response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body))
  }

  function openStream (request: IncomingMessage, response: ServerResponse): void {
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    response.flushHeaders()
    const stream = {
      cursor: request.headers['last-event-id'] as string | undefined,
      closed: false,
      rules: (rules: readonly WireRule[], id = `store-${streams.length}`) => response.write(
        `event: rules\nid: ${id}\ndata: ${JSON.stringify({ rules })}\n\n`
      ),
      state (
        asOf: number,
        { time = now(), keys = service.jwks.map(jwk => (jwk as { kid: string }).kid), horizon = 0 }:
        { time?: number, keys?: string[], horizon?: number } = {}
      ) {
        response.write(`event: state\ndata: ${JSON.stringify({ as_of: asOf, time, horizon, keys })}\n\n`)
      },
      raw: (text: string) => response.write(text),
      end: () => response.end()
    }
    response.on('close', () => { stream.closed = true })
    streams.push(stream)
  }

  const usual: Record<string, Handler> = {
    [`/.well-known/oauth-authorization-server${path}`]: (_request, _body, response) => json(response, service.metadata),
    [`${path}/jwks`]: (_request, _body, response) => json(
      response, { keys: service.jwks }, 200, { 'cache-control': 'public, max-age=3600' }
    ),
    [`${path}/token`] (request, body, response) {
      service.authorizations.push(request.headers.authorization)
      const scope = new URLSearchParams(body).get('scope')
      json(
        response,
        {
          access_token: `token for ${scope}`.replaceAll(' ', '.'),
          token_type: 'bearer',
          expires_in: service.expiresIn,
          scope
        }
      )
    },
    [`${path}/revocations`]: (request, _body, response) => openStream(request, response),
    [`${path}/introspect`]: (_request, _body, response) => json(
      response.setHeader('revocation-as-of', -1), { active: true }
    )
  }

  function answer (request: IncomingMessage, body: string, response: ServerResponse): void {
    const url = request.url ?? ''
    response.setHeader('date', new Date(now()).toUTCString())
    service.counts[url] = (service.counts[url] ?? 0) + 1
    const handler = service.handlers[url.slice(path.length)] ?? service.handlers[url] ?? usual[url]
    if (handler === undefined) return json(response, { error: 'not_found' }, 404)
    handler(request, body, response)
  }

  return service
}

export async function listenOn (t: Test, server: Server): Promise<string> {
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  t.teardown(async () => {
    server.closeAllConnections()
    await new Promise(resolve => server.close(resolve))
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

/** A verifier that is closed when the test ends, and what it told. */
export function build (
  t: Test, options: Partial<VerifierOptions> & Pick<VerifierOptions, 'issuer'>
): { verifier: Verifier, told: string[] } {
  const told: string[] = []
  const log = {
    info: (_details: object, message: string) => { told.push(message) },
    warn: (details: object, message: string) => { told.push(`${message}: ${(details as { err?: Error }).err?.message}`) }
  }
  const verifier = createVerifier({ ...(options.revocations === 'none' ? {} : CREDENTIALS), log, ...options })
  t.teardown(() => verifier.close())
  return { verifier, told }
}

/** What becomes of a token: the id of its user, or the code of the refusal. */
export async function outcomeOf (verifier: Verifier, token: string): Promise<string> {
  try {
    return (await verifier.verify(token)).id
  } catch (error) {
    return (error as { code: string }).code
  }
}

/** A link that can be cut: what is sent through it is held back, both ways, until it is mended; nobody is told. */
export interface Link {
  origin: string
  /** Where it leads from now on. */
  lead (target: string): void
  cut (): void
  mend (): void
}

async function createLink (t: Test): Promise<Link> {
  let port = 0
  let isCut = false
  const pairs: Array<[Socket, Socket]> = []
  const server = createTcpServer(near => {
    const far = connect(port, '127.0.0.1')
    pairs.push([near, far])
    for (const [from, to] of [[near, far], [far, near]] as const) {
      from.on(
        'data', chunk => to.write(chunk)
      ).on('end', () => to.end()).on('error', () => to.destroy()).on('close', () => to.destroy())
      if (isCut) from.pause()
    }
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  t.teardown(async () => {
    for (const socket of pairs.flat()) socket.destroy()
    await new Promise(resolve => server.close(resolve))
  })
  return {
    origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    lead (target) { port = Number(new URL(target).port) },
    cut () {
      isCut = true
      for (const socket of pairs.flat()) socket.pause()
    },
    mend () {
      isCut = false
      for (const socket of pairs.flat()) socket.resume()
    }
  }
}

/** A Latchkey that listens behind a link, which is its issuer, with `alice` and `bob` in it. */
export async function createIssuer (
  t: Test, options: LatchkeyOptions = {}, arrange?: (app: FastifyInstance) => void
): Promise<{ app: FastifyInstance, link: Link, issuer: string }> {
  const link = await createLink(t)
  const { app } = await buildHost(t, { now: undefined, issuer: link.origin, ...options }, arrange)
  await app.latchkey.users.add({ username: 'bob', password: PASSWORD, scopes: ['items:read'] })
  await app.listen({ host: '127.0.0.1', port: 0 })
  // What was opened for a request that was given up never sends one, and would be waited for.
  t.teardown(() => app.server.closeAllConnections())
  link.lead(`http://127.0.0.1:${(app.server.address() as AddressInfo).port}`)
  return { app, link, issuer: link.origin }
}
