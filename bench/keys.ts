import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { fastify } from 'fastify'
import type { FastifyInstance } from 'fastify'
import { sql } from 'kysely'
import latchkey from '../app.js'
import { createId } from '../lib/identity/ids.js'
import { createValue, hashValue } from '../lib/personal-access-tokens/value.js'
import { openStore } from '../lib/store/open.js'
import { kKeyAcceptance } from '../plugins/personal-access-tokens.js'
import { kTokens } from '../plugins/tokens.js'
import { fillStore } from './fill.js'
import { median, spread, toText } from './section.js'
import type { Section } from './section.js'

// The cost of personal access tokens in SQLite: look-ups, memory, a start, and wrong keys. To run only this:
//
//   node --expose-gc dist/bench/keys.js

const isQuick = process.argv.includes('--quick')
const MOST = isQuick ? 100_000 : 1_000_000

/** The number of keys that are presented. The cache keeps all of them. */
const PRESENTED = 10_000

/** How many calls to measure at a time. */
const CHUNK = 200

const STARTS = isQuick ? 1 : 5

/** The number of wrong credentials of each kind. */
const WRONG = isQuick ? 2_000 : 20_000

const ADDRESS = '192.0.2.1'

/** What a database with this many keys costs: nanoseconds for a key, megabytes and milliseconds for the rest. */
interface Cost {
  name: string
  unseen: number
  seen: number
  /** The resident memory that each start adds. */
  memory: number[]
  /** What the cache keeps of one key, in bytes. */
  cached: number
  starts: number[]
}

type Started = Pick<Cost, 'starts' | 'memory'>

interface Opened {
  app: FastifyInstance
  /** The encapsulated scope of the plugin, where its services are. */
  scope: FastifyInstance
}

async function open (database: string): Promise<Opened> {
  const app = fastify() as FastifyInstance
  let scope: FastifyInstance | undefined
  app.addHook('onRegister', instance => { scope ??= instance })
  await app.register(latchkey, {
    database, secret: 'a secret of the benchmark, of more than 32 bytes', scopes: { 'items:read': 'Read items' }
  })
  await app.ready()
  return { app, scope: scope as FastifyInstance }
}

/** Creates a database with this many keys, ten for each user. Returns the keys to present. */
async function fill (database: string, count: number): Promise<string[]> {
  await (await open(database)).app.close()
  await fillStore(database, { users: count / 10, keys: count - PRESENTED })
  const values = Array.from({ length: PRESENTED }, createValue)
  const store = await openStore(database, { bound: 60_000, log: () => {} })
  await store.transaction(async trx => {
    const owners = await trx.selectFrom('latchkey_users').select('id').limit(PRESENTED / 10).execute()
    const rows = values.map((value, at) => ({
      id: createId(Date.now()), owner: owners[at % owners.length]?.id, hash: hashValue(value)
    }))
    await sql`insert into latchkey_personal_access_tokens (id, user_id, name, value_hash, scope, created_at)
      select value ->> 'id', value ->> 'owner', 'A program', value ->> 'hash', 'items:read', ${Date.now()}
      from json_each(${JSON.stringify(rows)})`.execute(trx)
  })
  await store.close()
  return values
}

/** Returns nanoseconds per call: the median of the chunks, because other programs run too. */
async function time (items: readonly string[], call: (item: string) => unknown): Promise<number> {
  const times: number[] = []
  for (let start = 0; start < items.length; start += CHUNK) {
    const chunk = items.slice(start, start + CHUNK)
    const begun = performance.now()
    for (const item of chunk) {
      const outcome = call(item)
      if (outcome instanceof Promise) await outcome
    }
    times.push((performance.now() - begun) * 1e6 / chunk.length)
    // Lets the timers run, such as the one that writes when keys were used.
    await delay(0)
  }
  return median(times)
}

/** Makes a call that must reject this credential. */
async function assertRejects (code: string, call: () => unknown): Promise<void> {
  let outcome: unknown
  try {
    outcome = await call()
  } catch (error) {
    if ((error as { code?: unknown }).code === code) return
    throw error
  }
  throw new Error(`A wrong credential gave ${JSON.stringify(outcome)} instead of ${code}`)
}

async function collect (): Promise<NodeJS.MemoryUsage> {
  for (let times = 0; times < 2; times++) {
    globalThis.gc?.()
    await delay(100)
  }
  return process.memoryUsage()
}

/** Measures starts of several databases in turn: milliseconds, and the resident memory in megabytes. */
async function measureStarts (databases: readonly string[]): Promise<Started[]> {
  const costs = databases.map(() => ({ starts: [] as number[], memory: [] as number[] }))
  for (let start = 0; start < STARTS; start++) {
    for (const [at, database] of databases.entries()) {
      const before = await collect()
      const begun = performance.now()
      const { app } = await open(database)
      costs[at]?.starts.push(performance.now() - begun)
      costs[at]?.memory.push(((await collect()).rss - before.rss) / 1e6)
      await app.close()
    }
  }
  return costs
}

async function measureKeys (
  database: string, values: readonly string[]
): Promise<Pick<Cost, 'unseen' | 'seen' | 'cached'>> {
  const { app, scope } = await open(database)
  const opened = await collect()
  const accept = (value: string): unknown => scope[kKeyAcceptance].accept(value, ADDRESS)
  const unseen = await time(values, accept)
  const presented = await collect()
  await time(values, accept)
  const seen = await time(values, accept)
  await app.close()
  return { unseen, seen, cached: (presented.heapUsed - opened.heapUsed) / values.length }
}

/** What wrong credentials cost, in nanoseconds each. Chunks of all kinds take turns. */
interface Wrong {
  forged: number
  malformed: number
  unknown: number
  throttled: number
}

async function measureWrong (database: string): Promise<Wrong> {
  const { app, scope } = await open(database)
  const [keys, tokens] = [scope[kKeyAcceptance], scope[kTokens]]
  const user = await app.latchkey.users.add({ username: 'alice', password: 'marble otter sings at noon', scopes: [] })
  const good = await tokens.sign(await app.latchkey.sessions.start(user))
  const signed = good.slice(0, good.lastIndexOf('.') + 1)
  const invalid = (call: () => unknown) => assertRejects('invalid_token', call)
  // Unknown keys of an unknown address are not limited, so each of them costs a query.
  const kinds = {
    forged: {
      make: () => signed + randomBytes(64).toString('base64url'),
      check: (text: string) =>
        invalid(() => tokens.accept(text))
    },
    malformed: {
      make: () => `lkp_${randomBytes(21).toString('hex')}`,
      check: (text: string) =>
        invalid(() => keys.accept(text, ADDRESS))
    },
    unknown: { make: createValue, check: (text: string) => invalid(() => keys.accept(text, undefined)) },
    throttled: {
      make: createValue,
      check: (text: string) =>
        assertRejects('too_many_requests', () => keys.accept(text, ADDRESS))
    }
  }
  // The hundred that an address may present in a minute.
  for (let number = 0; number < 100; number++) await invalid(() => keys.accept(createValue(), ADDRESS))
  const times: Record<keyof Wrong, number[]> = { forged: [], malformed: [], unknown: [], throttled: [] }
  const size = WRONG / 20
  for (let done = 0; done < WRONG; done += size) {
    for (const [kind, { make, check }] of Object.entries(kinds)) {
      times[kind as keyof Wrong].push(await time(Array.from({ length: size }, make), check))
    }
  }
  await app.close()
  return {
    forged: median(times.forged),
    malformed: median(times.malformed),
    unknown: median(times.unknown),
    throttled: median(times.throttled)
  }
}

if (globalThis.gc === undefined) throw new Error('Start this with: node --expose-gc')

const folder = await mkdtemp(join(tmpdir(), 'latchkey-bench-'))
try {
  const [few, many] = [join(folder, 'few.db'), join(folder, 'many.db')]
  const [fewValues, manyValues] = [await fill(few, PRESENTED), await fill(many, MOST)]
  // Not counted: this lets V8 compile the program.
  await measureKeys(few, fewValues)
  await measureStarts([few, many])
  const [fewStarts, manyStarts] = await measureStarts([few, many]) as [Started, Started]
  const section = describe([
    { name: `${PRESENTED.toLocaleString('en')} keys`, ...await measureKeys(few, fewValues), ...fewStarts },
    { name: `${MOST.toLocaleString('en')} keys`, ...await measureKeys(many, manyValues), ...manyStarts }
  ], await measureWrong(many))
  if (process.send === undefined) console.log(toText(section))
  else process.send(section)
} finally {
  await rm(folder, { recursive: true })
}

function describe ([few, many]: readonly [Cost, Cost], wrong: Wrong): Section {
  const us = (nanoseconds: number): string => (nanoseconds / 1_000).toFixed(2)
  const ratio = (kind: keyof Wrong): number => wrong[kind] / wrong.forged
  const slower = many.starts.map((start, at) => start / (few.starts[at] ?? NaN))
  return {
    title: `Personal access tokens, up to ${MOST.toLocaleString('en')}`,
    columns: [
      'µs for a key seen lately', 'µs for one not seen', 'bytes in the cache', 'MB that a start adds', 'ms to start'
    ],
    rows: [few, many].map(({ name, seen, unseen, memory, cached, starts }) => ({
      name, cells: [us(seen), us(unseen), cached.toFixed(0), spread(memory, 1), spread(starts)]
    })),
    verdicts: [
      {
        target: 'a start with all keys: at most 1.2 x a start with few',
        measured: `${spread(slower, 2)} x`,
        met: median(slower) <= 1.2
      },
      {
        target: 'a wrong key costs at most as much as a token with a wrong signature',
        measured: `malformed ${ratio('malformed').toFixed(2)} x, unknown ${ratio('unknown').toFixed(2)} x, ` +
          `unknown after 100 from one address ${ratio('throttled').toFixed(2)} x`,
        met: Math.max(ratio('malformed'), ratio('unknown'), ratio('throttled')) <= 1
      }
    ],
    notes: [
      `In each database, ${PRESENTED.toLocaleString('en')} keys are presented, one after the other, in the process ` +
        'itself, with no request around them. A key not seen costs two queries: one for its row, and one for its ' +
        'owner. No key is in memory before it is presented. The cache keeps up to 20,000.',
      `The wrong credentials are ${WRONG.toLocaleString('en')} of each kind, in turn, all different, beside ` +
        `${MOST.toLocaleString('en')} keys. A token with a wrong signature costs ${us(wrong.forged)} µs, a malformed ` +
        `key ${us(wrong.malformed)} µs, an unknown key ${us(wrong.unknown)} µs, and an unknown key after the hundred ` +
        `that an address may present in a minute ${us(wrong.throttled)} µs.`
    ]
  }
}
