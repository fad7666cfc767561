import { randomUUID } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { sql } from 'kysely'
import { createStoreClock } from '../lib/time/clock.js'
import { createEvents } from '../lib/ledger/events.js'
import { createLedger } from '../lib/ledger/ledger.js'
import { createFollower } from '../lib/store/change-follower.js'
import { createId } from '../lib/identity/ids.js'
import { createRevocationIndex } from '../lib/revocation/rule-index.js'
import type { Revocable, Rule } from '../lib/revocation/rule-index.js'
import { openRevocations } from '../lib/revocation/revocations.js'
import { openSqlite } from '../lib/store/sqlite/open.js'
import { median, spread, toText } from './section.js'
import type { Section } from './section.js'

// The cost of live revocation rules: memory, a look-up, and loading them from SQLite at boot. To run only this:
//
//   node --expose-gc dist/bench/scale.js

const FEW = 100_000
const COUNTS = process.argv.includes('--quick') ? [FEW] : [FEW, 1_000_000]
const MOST = Math.max(...COUNTS)

/** How often to measure loading at boot. */
const BOOTS = MOST > FEW ? 3 : 1

/** How many look-ups to measure, and how many to prepare at a time. */
const LOOKUPS = 500_000
const CHUNK = 200

/** The kinds of the rules, in turn. */
const KINDS = ['token', 'session', 'session', 'user'] as const

const NOW = Date.now()
const EXPIRES = NOW + 900_000

/** The common interface of the rule index and of plain sets of strings. */
interface Index {
  add (rule: Rule): void
  isRevoked (token: Revocable): boolean
}

function createSets (): Index {
  const sets = {
    token: new Set<string>(),
    session: new Set<string>(),
    user: new Set<string>(),
    client: new Set<string>(),
    role: new Set<string>()
  }
  return {
    add ({ kind, value }) {
      sets[kind].add(value)
    },
    isRevoked: ({ tokenId, sessionId, userId, clientId }) =>
      sets.token.has(tokenId) ||
      (sessionId !== undefined && sets.session.has(sessionId)) ||
      sets.user.has(userId) ||
      sets.client.has(clientId)
  }
}

function * createRules (ids: Buffer): Generator<Rule> {
  for (let at = 0; at * 16 < ids.length; at++) {
    const kind = KINDS[at % KINDS.length] as Rule['kind']
    yield { kind, value: idAt(ids, at), issuedBefore: kind === 'user' ? NOW : null, expiresAt: EXPIRES }
  }
}

/** Creates all ids in one buffer, so that they do not count as memory of the index. */
function createIds (count: number): Buffer {
  const ids = Buffer.alloc(count * 16)
  for (let at = 0; at < count; at++) ids.write(createId(NOW - at % 86_400_000).replaceAll('-', ''), at * 16, 'hex')
  return ids
}

/** Returns a flat string, as from a database. A string concatenated from parts takes several times the memory. */
function idAt (ids: Buffer, at: number): string {
  const hex = ids.toString('hex', at * 16, at * 16 + 16)
  return Buffer.from(
    `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`
  ).toString('latin1')
}

/** Creates a token with new strings, as if parsed from a request. `revoked` is the index of a rule that revokes it. */
function parseToken (ids: Buffer, revoked: number | undefined): Revocable {
  const token: Record<string, unknown> = {
    token: randomUUID(),
    session: randomUUID(),
    user: randomUUID(),
    client: 'web-frontend',
    issuedAt: NOW - 1_000
  }
  if (revoked !== undefined) token[KINDS[revoked % KINDS.length] as string] = idAt(ids, revoked)
  const parsed = JSON.parse(JSON.stringify(token)) as Record<Rule['kind'], string> & { issuedAt: number }
  return {
    tokenId: parsed.token,
    sessionId: parsed.session,
    userId: parsed.user,
    clientId: parsed.client,
    issuedAt: parsed.issuedAt
  }
}

/** Returns the used memory in bytes. The memory of typed arrays is freed only a moment after the garbage collection. */
async function usedMemory (): Promise<number> {
  globalThis.gc?.()
  await delay(100)
  globalThis.gc?.()
  await delay(100)
  const { heapUsed, external } = process.memoryUsage()
  return heapUsed + external
}

/** Measures the nanoseconds per look-up. It returns the median of the chunks, because other programs run too. */
function timeLookups (index: Index, ids: Buffer, isHit: (lookup: number) => boolean): number {
  const times: bigint[] = []
  let hits = 0
  let expected = 0
  for (let lookup = 0; lookup < LOOKUPS; lookup += CHUNK) {
    const tokens = Array.from({ length: CHUNK }, (_, at) => {
      const hit = isHit(lookup + at)
      if (hit) expected++
      return parseToken(ids, hit ? Math.floor(Math.random() * ids.length / 16) : undefined)
    })
    const start = process.hrtime.bigint()
    for (const token of tokens) if (index.isRevoked(token)) hits++
    times.push(process.hrtime.bigint() - start)
  }
  if (hits !== expected) throw new Error(`${hits} tokens are revoked instead of ${expected}`)
  return Number(times.sort((a, b) => Number(a - b))[times.length >> 1]) / CHUNK
}

/**
 * The cost of an index: bytes of memory, nanoseconds for a look-up that finds a rule and for one that does not, and
 * milliseconds to fill it.
 */
interface Cost {
  memory: number
  hit: number
  miss: number
  filled: number
}

async function measure (create: () => Index, ids: Buffer): Promise<Cost> {
  // Frees what the previous measurement left behind.
  await usedMemory()
  const index = create()
  const empty = await usedMemory()
  const start = performance.now()
  for (const rule of createRules(ids)) index.add(rule)
  const filled = performance.now() - start
  const memory = await usedMemory() - empty
  return { memory, hit: timeLookups(index, ids, () => true), miss: timeLookups(index, ids, () => false), filled }
}

function toRow (name: string, { memory, hit, miss, filled }: Cost): Section['rows'][number] {
  return {
    name,
    cells: [
      `${(memory / 1e6).toFixed(1)} MB`,
      `${hit.toFixed(0)} ns`,
      `${miss.toFixed(0)} ns`,
      `${filled.toFixed(0)} ms`
    ]
  }
}

/**
 * Measures the milliseconds until the rules of a file are in the index, and the longest block of the event loop
 * meanwhile.
 */
async function timeBoot (count: number): Promise<{ took: number, longest: number }> {
  const folder = await mkdtemp(join(tmpdir(), 'latchkey-bench-'))
  try {
    const store = await openSqlite(join(folder, 'latchkey.db'))
    const rules = createRules(createIds(count))
    await store.transaction(async trx => {
      for (let written = 0; written < count; written += CHUNK) {
        const chunk = Array.from({ length: CHUNK }, () => rules.next().value as Rule)
        await sql`insert into latchkey_rules (kind, value, session_id, issued_before, expires_at)
          select value ->> 'kind', value ->> 'value', iif(value ->> 'kind' = 'token', value ->> 'value', null),
            value ->> 'issuedBefore', value ->> 'expiresAt'
          from json_each(${JSON.stringify(chunk)})`.execute(trx)
      }
    })

    let longest = 0
    let last = performance.now()
    const start = last
    const ticker = setInterval(() => {
      longest = Math.max(longest, performance.now() - last)
      last = performance.now()
    }, 1)
    const clock = createStoreClock(store.now)
    const ledger = createLedger({ store, clock, events: createEvents() })
    const follower = createFollower(store)
    const revocations = await openRevocations({ store, ledger, follower, accessTokenTtl: 900_000 })
    const took = performance.now() - start
    clearInterval(ticker)
    if (revocations.size !== count) throw new Error(`${revocations.size} rules were loaded instead of ${count}`)
    await store.close()
    return { took, longest }
  } finally {
    await rm(folder, { recursive: true })
  }
}

if (globalThis.gc === undefined) throw new Error('Start this with: node --expose-gc')

const rows: Section['rows'] = []
let largest: Cost | undefined
for (const count of COUNTS) {
  const ids = createIds(count)
  largest = await measure(createRevocationIndex, ids)
  rows.push(
    toRow(`the index, ${count.toLocaleString('en')} rules`, largest),
    toRow(`sets of strings, ${count.toLocaleString('en')} rules`, await measure(createSets, ids))
  )
}
const boots: Array<{ took: number, longest: number }> = []
for (let boot = 0; boot < BOOTS; boot++) boots.push(await timeBoot(MOST))

const { memory, hit, miss } = largest as Cost
const slower = Math.max(hit, miss) / 1_000
const took = boots.map(boot => boot.took / 1_000)
const section: Section = {
  title: `Revocation rules, up to ${MOST.toLocaleString('en')}`,
  columns: ['memory', 'look-up that finds a rule', 'that finds none', 'time to fill'],
  rows,
  verdicts: [
    { target: 'a look-up: at most 0.5 µs', measured: `${slower.toFixed(2)} µs`, met: slower <= 0.5 },
    { target: 'memory: at most 64 MB', measured: `${(memory / 1e6).toFixed(1)} MB`, met: memory <= 64e6 },
    { target: 'load at boot, SQLite: at most 1.5 s', measured: `${spread(took, 2)} s`, met: median(took) <= 1.5 }
  ],
  notes: [
    'A look-up covers the four ids in a token: its own and those of its session, its user and its client. It waits ' +
      'for memory, and waits longer if there are more rules. For a token that was verified before, a request makes a ' +
      'look-up only if a rule has been added since the previous one. While the rules were loaded, the event loop was ' +
      `blocked for at most ${spread(boots.map(boot => boot.longest))} ms.`
  ]
}
if (process.send === undefined) console.log(toText(section))
else process.send(section)
