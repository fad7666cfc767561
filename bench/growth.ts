import { fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fastify } from 'fastify'
import type { FastifyInstance } from 'fastify'
import latchkey from '../app.js'
import { createDatabase, dropDatabase } from './databases.js'
import { fillStore } from './fill.js'

// Measures a store that has grown: N users, 2 N sessions and N live revocation rules, on both engines. It is not part
// of `npm run bench`. Run it by hand:
//
//   node --expose-gc dist/bench/growth.js [postgres://user:password@host/postgres] [N ...]
//
// Without a URL it measures SQLite only. Each line comes from its own process. Times are medians of one call inside the
// process (no socket), with the cheapest password hash, because only what grows with N matters here.

const COUNTS = [1_000, 100_000, 1_000_000]
const ROUNDS = 200
const PASSWORD = 'marble otter sings at noon'

interface Measured {
  boot: number
  memory: number
  login: number
  refresh: number
  protected: number
  revoke: number
}

if (process.send === undefined) await measureAll(process.argv.slice(2))
else await measureOne(process.argv[2] ?? '', Number(process.argv[3]))

async function measureAll (parameters: string[]): Promise<void> {
  const server = parameters.find(parameter => parameter.includes('://'))
  const counts = parameters.map(Number).filter(Number.isSafeInteger)
  console.log('engine      rows N     boot ms  memory MB   login ms  refresh ms  protected ms  revoke ms')
  for (const engine of server === undefined ? ['sqlite'] : ['sqlite', 'postgres']) {
    for (const count of counts.length === 0 ? COUNTS : counts) {
      const folder = await mkdtemp(join(tmpdir(), 'latchkey-scale-'))
      const database = engine === 'sqlite' ? join(folder, 'scale.db') : await createDatabase(server ?? '')
      try {
        const child = fork(new URL(import.meta.url), [database, String(count)], {
          execArgv: ['--expose-gc', '--enable-source-maps']
        })
        const [measured] = await once(child, 'message') as [Measured]
        await once(child, 'exit')
        console.log(
          [
            engine.padEnd(10),
            String(count).padStart(7),
            ...Object.values(measured).map((value: number) => value.toFixed(2).padStart(11))
          ].join(' ')
        )
      } finally {
        await rm(folder, { recursive: true, force: true })
        if (engine === 'postgres') await dropDatabase(database)
      }
    }
  }
}

async function open (database: string): Promise<FastifyInstance> {
  const app = fastify() as FastifyInstance
  await app.register(latchkey, {
    database,
    secret: 'a secret of the benchmark, of more than 32 bytes',
    bcryptCost: 4,
    rateLimit: false,
    scopes: { 'items:read': 'Read items' }
  })
  app.get('/items', { preHandler: app.requireScopes('items:read') }, async () => 'items')
  await app.ready()
  return app
}

async function measureOne (database: string, count: number): Promise<void> {
  const first = await open(database)
  for (let number = 0; number < ROUNDS; number++) {
    await first.latchkey.users.add({ username: `user-${number}`, password: PASSWORD, scopes: ['items:read'] })
  }
  await first.close()
  await fillStore(database, { users: count, sessions: 2 * count, rules: count })

  global.gc?.()
  const before = process.memoryUsage().rss
  const begun = performance.now()
  const app = await open(database)
  const boot = performance.now() - begun
  global.gc?.()
  const memory = (process.memoryUsage().rss - before) / 1e6

  const tokens: Array<{ access_token: string, refresh_token: string }> = []
  const login = await median(async number => {
    tokens.push(await post(app, '/token', { grant_type: 'password', username: `user-${number}`, password: PASSWORD }))
  })
  const refresh = await median(async number => {
    tokens[number] = await post(app, '/token', {
      grant_type: 'refresh_token',
      refresh_token: tokens[number]?.refresh_token ?? ''
    })
  })
  await median(number => call(app, tokens[number]?.access_token, 200))
  const guarded = await median(number => call(app, tokens[number]?.access_token, 200))
  const revoke = await median(async number => {
    await app.inject({ method: 'POST', url: '/revoke', payload: { token: tokens[number]?.refresh_token } })
  })
  await median(number => call(app, tokens[number]?.access_token, 401))
  await app.close()
  const measured: Measured = { boot, memory, login, refresh, protected: guarded, revoke }
  process.send?.(measured, () => process.disconnect())
}

async function post (
  app: FastifyInstance,
  url: string,
  payload: Record<string, string>
): Promise<{ access_token: string, refresh_token: string }> {
  const response = await app.inject({ method: 'POST', url, payload })
  if (response.statusCode !== 200) throw new Error(`${url}: ${response.statusCode} ${response.body}`)
  return response.json()
}

async function call (app: FastifyInstance, token: string | undefined, expected: number): Promise<void> {
  const { statusCode } = await app.inject({ url: '/items', headers: { authorization: `Bearer ${token}` } })
  if (statusCode !== expected) throw new Error(`/items: ${statusCode} instead of ${expected}`)
}

/** Milliseconds. */
async function median (work: (number: number) => Promise<void>): Promise<number> {
  const times: number[] = []
  for (let number = 0; number < ROUNDS; number++) {
    const begun = performance.now()
    await work(number)
    times.push(performance.now() - begun)
  }
  return times.sort((a, b) => a - b)[ROUNDS >> 1] ?? NaN
}
