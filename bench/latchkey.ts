import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { parseArgs } from 'node:util'
import { Type } from '@fastify/type-provider-typebox'
import { fastify } from 'fastify'
import type { FastifyInstance } from 'fastify'
import latchkey from '../app.js'
import type { User } from '../app.js'
import { fillStore } from './fill.js'

// Latchkey as a contender: a host app with the plugin, on a SQLite file, with the default options.
//
//   node dist/bench/latchkey.js [--rules 1000000] [--tokens 25000] [--users 8] [--cost 10] [--stalls] [--database FILE]

const { values } = parseArgs({
  options: {
    /** The number of live revocation rules. */
    rules: { type: 'string', default: '0' },
    /** The number of different valid access tokens to write to a file. */
    tokens: { type: 'string', default: '0' },
    /** The number of users. Each has a session, whose refresh token is written to a file. */
    users: { type: 'string', default: '1' },
    /** The bcrypt cost. */
    cost: { type: 'string', default: '10' },
    /**
     * Whether to add `GET /stalls`, which returns the longest block of the event loop since the previous call, in
     * milliseconds.
     */
    stalls: { type: 'boolean', default: false },
    /** A database to share with another process. Default: a new one. */
    database: { type: 'string' }
  }
})

const HOUR = 3_600_000
const PASSWORD = 'marble otter sings at noon'
const FORM = { 'content-type': 'application/x-www-form-urlencoded' }

interface Login {
  access_token: string
  refresh_token: string
}

const folder = mkdtempSync(join(tmpdir(), 'latchkey-bench-'))
process.on('exit', () => rmSync(folder, { recursive: true, force: true }))
const database = values.database ?? join(folder, 'latchkey.db')

const first = await open()
const users: string[] = []
for (let number = 0; number < Number(values.users); number++) {
  const username = `user-${process.pid}-${number}`
  await first.latchkey.users.add({ username, password: PASSWORD, scopes: ['items:read'] })
  users.push(username)
}
await first.close()
await fillStore(database, { rules: Number(values.rules) })

const app = await open()
const url = await app.listen({ host: '127.0.0.1', port: 0 })
const logins: Login[] = []
for (const username of users) {
  logins.push(await post('/token', { grant_type: 'password', username, password: PASSWORD }))
}
const good = logins[0] as Login
const owner = await app.latchkey.users.findByName(users[0] as string) as User
const key = await app.latchkey.personalAccessTokens.create(owner.id, { name: 'A program', scopes: ['items:read'] })
const revoked = await post('/token', { grant_type: 'password', username: users[0] as string, password: PASSWORD })
await post('/revoke', { token: revoked.access_token })

console.log(
  JSON.stringify({
    url,
    headers: {
      good: bearer(good.access_token),
      expired: bearer(await sign(Date.now() - HOUR)),
      forged: bearer(forge(good.access_token)),
      revoked: bearer(revoked.access_token)
    },
    key: bearer(key.value),
    login: {
      method: 'POST',
      path: '/token',
      headers: FORM,
      body: String(new URLSearchParams({ grant_type: 'password', username: users[0] as string, password: PASSWORD }))
    },
    tokens: writeLines('tokens', await signMany(Number(values.tokens))),
    refreshTokens: writeLines(
      'refresh-tokens',
      logins.map(login => login.refresh_token)
    )
  })
)

process.stdin.resume().on('end', end)
process.on('SIGTERM', end)

async function end (): Promise<void> {
  await app.close()
  process.exit()
}

async function open (): Promise<FastifyInstance> {
  // The default of ten seconds is too short while all contenders start at once.
  const app = fastify({ pluginTimeout: 120_000 }) as FastifyInstance
  await app.register(latchkey, {
    database,
    secret: 'a secret of the benchmark, of more than 32 bytes',
    bcryptCost: Number(values.cost),
    scopes: { 'items:read': 'Read items' }
  })
  app.get('/items/:id', {
    config: { latchkey: { accepts: ['token', 'key'] } },
    preHandler: app.requireScopes('items:read'),
    schema: { response: { 200: Type.Object({ id: Type.Integer(), name: Type.String(), price: Type.Number() }) } }
  }, async () => ({ id: 1, name: 'Lamp', price: 12.5 }))
  if (values.stalls) watchStalls(app)
  await app.ready()
  return app
}

function watchStalls (app: FastifyInstance): void {
  const delays = monitorEventLoopDelay({ resolution: 1 })
  delays.enable()
  app.addHook('onClose', async () => { delays.disable() })
  app.get('/stalls', async () => {
    const longest = delays.max / 1e6
    delays.reset()
    return String(longest)
  })
}

/**
 * Sends over the network, because requests of `inject` have another shape, which would change how V8 compiles the code.
 */
async function post (path: string, members: Record<string, string>): Promise<Login> {
  const response = await fetch(url + path, { method: 'POST', body: new URLSearchParams(members) })
  const body = await response.text()
  if (!response.ok) throw new Error(`${path}: ${response.status} ${body}`)
  return body === '' ? { access_token: '', refresh_token: '' } : JSON.parse(body)
}

/** Signs an access token of the first session, as if a login or refresh had issued it at this time. */
async function sign (issuedAt: number): Promise<string> {
  const { sub, sid } = JSON.parse(Buffer.from(good.access_token.split('.')[1] as string, 'base64url').toString())
  return await app.latchkey.tokens.sign({
    user: { id: sub },
    sessionId: sid,
    clientId: 'latchkey',
    scopes: ['items:read'],
    issuedAt,
    claims: {}
  })
}

async function signMany (count: number): Promise<string[]> {
  const tokens: string[] = []
  while (tokens.length < count) tokens.push(await sign(Date.now()))
  return tokens
}

/** Combines the claims of one token with the signature of another. */
function forge (token: string): string {
  const [header, payload] = token.split('.') as [string, string]
  return `${header}.${payload}.${revoked.access_token.split('.')[2]}`
}

function bearer (token: string): { authorization: string } {
  return { authorization: `Bearer ${token}` }
}

function writeLines (name: string, lines: string[]): string {
  const file = join(folder, name)
  writeFileSync(file, lines.join('\n'))
  return file
}
