import { randomUUID } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { sql } from 'kysely'
import { createClock } from '../lib/clock.js'
import { createEvents } from '../lib/events.js'
import { createId } from '../lib/ids.js'
import { createRevocationIndex } from '../lib/revocation-index.js'
import type { Revocable, Rule } from '../lib/revocation-index.js'
import { openRevocations } from '../lib/revocations.js'
import { openSqlite } from '../lib/store/sqlite.js'

// What live revocation rules cost: memory, a look-up, and loading them at boot from SQLite.
//
//   node --expose-gc dist/bench/revocation-index.js

const COUNTS = [1_000, 100_000, 1_000_000]

/** How many look-ups are measured, and how many are prepared at a time. */
const LOOKUPS = 500_000
const CHUNK = 200

/** What is revoked, in turn. */
const KINDS = ['token', 'session', 'session', 'user'] as const

const NOW = Date.now()
const EXPIRES = NOW + 900_000

/** What an index of rules and a plain set of texts have in common. */
interface Index {
  add (rule: Rule): void
  isRevoked (token: Revocable): boolean
}

function createSets (): Index {
  const sets = { token: new Set<string>(), session: new Set<string>(), user: new Set<string>(), client: new Set<string>() }
  return {
    add ({ kind, value }) {
      sets[kind].add(value)
    },
    isRevoked: ({ tokenId, sessionId, userId, clientId }) =>
      sets.token.has(tokenId) || (sessionId !== undefined && sets.session.has(sessionId)) || sets.user.has(userId) || sets.client.has(clientId)
  }
}

function * createRules (ids: Buffer): Generator<Rule> {
  for (let at = 0; at * 16 < ids.length; at++) {
    const kind = KINDS[at % KINDS.length] as Rule['kind']
    yield { kind, value: idAt(ids, at), issuedBefore: kind === 'user' ? NOW : null, expiresAt: EXPIRES }
  }
}

/** All ids in one buffer, so that they do not count as memory of what is measured. */
function createIds (count: number): Buffer {
  const ids = Buffer.alloc(count * 16)
  for (let at = 0; at < count; at++) ids.write(createId(NOW - at % 86_400_000).replaceAll('-', ''), at * 16, 'hex')
  return ids
}

/** In one piece, as from a database: a text that was put together of parts takes several times the memory. */
function idAt (ids: Buffer, at: number): string {
  const hex = ids.toString('hex', at * 16, at * 16 + 16)
  return Buffer.from(`${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`).toString('latin1')
}

/** A token as it comes from the wire: each text in it is new. `revoked` of its ids, in the place that the kind says, is that of a rule. */
function parseToken (ids: Buffer, revoked: number | undefined): Revocable {
  const token: Record<string, unknown> = { token: randomUUID(), session: randomUUID(), user: randomUUID(), client: 'web-frontend', issuedAt: NOW - 1_000 }
  if (revoked !== undefined) token[KINDS[revoked % KINDS.length] as string] = idAt(ids, revoked)
  const parsed = JSON.parse(JSON.stringify(token)) as Record<Rule['kind'], string> & { issuedAt: number }
  return { tokenId: parsed.token, sessionId: parsed.session, userId: parsed.user, clientId: parsed.client, issuedAt: parsed.issuedAt }
}

/** Bytes. What typed arrays held is given back a moment after the collection that found them. */
async function usedMemory (): Promise<number> {
  globalThis.gc?.()
  await delay(100)
  globalThis.gc?.()
  await delay(100)
  const { heapUsed, external } = process.memoryUsage()
  return heapUsed + external
}

/** Nanoseconds for each look-up: the median of the chunks, as other programs are running too. */
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
  if (hits !== expected) throw new Error(`${hits} tokens are revoked, of ${expected}`)
  return Number(times.sort((a, b) => Number(a - b))[times.length >> 1]) / CHUNK
}

async function measure (name: string, create: () => Index, ids: Buffer): Promise<void> {
  const before = await usedMemory()
  const index = create()
  const empty = await usedMemory()
  const start = performance.now()
  for (const rule of createRules(ids)) index.add(rule)
  const filled = performance.now() - start
  const memory = await usedMemory()
  const hit = timeLookups(index, ids, () => true)
  const miss = timeLookups(index, ids, () => false)
  console.log([
    name.padEnd(24), String(ids.length / 16).padStart(9), `${((memory - empty) / 1e6).toFixed(1)} MB`.padStart(10), `${((empty - before) / 1e3).toFixed(0)} kB`.padStart(8),
    `${hit.toFixed(0)} ns`.padStart(8), `${miss.toFixed(0)} ns`.padStart(8), `${filled.toFixed(0)} ms`.padStart(8)
  ].join('  '))
}

async function timeBoot (count: number): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'latchkey-bench-'))
  try {
    const store = await openSqlite(join(folder, 'latchkey.db'))
    const rules = createRules(createIds(count))
    await store.transaction(async trx => {
      for (let written = 0; written < count; written += CHUNK) {
        const chunk = Array.from({ length: CHUNK }, () => rules.next().value as Rule)
        await sql`insert into rules (kind, value, session_id, issued_before, expires_at)
          select value ->> 'kind', value ->> 'value', iif(value ->> 'kind' = 'token', value ->> 'value', null), value ->> 'issuedBefore', value ->> 'expiresAt'
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
    const revocations = await openRevocations({ store, clock: createClock(Date.now, performance.now.bind(performance)), events: createEvents(), accessTokenTtl: 900_000 })
    const took = performance.now() - start
    clearInterval(ticker)
    console.log(`\nboot on SQLite: ${revocations.size} rules in ${took.toFixed(0)} ms, and the event loop never stood for longer than ${longest.toFixed(0)} ms`)
    await store.close()
  } finally {
    await rm(folder, { recursive: true })
  }
}

if (globalThis.gc === undefined) throw new Error('Start this with: node --expose-gc')
console.log(['', 'rules', 'memory', 'empty', 'hit', 'miss', 'adding'].map((title, column) => title.padStart([24, 9, 10, 8, 8, 8, 8][column] as number)).join('  '))
for (const count of COUNTS) {
  const ids = createIds(count)
  await measure('index', createRevocationIndex, ids)
  await measure('sets of texts', createSets, ids)
}
await timeBoot(1_000_000)
