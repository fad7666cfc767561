import { tmpdir } from 'node:os'
import { setTimeout as delay } from 'node:timers/promises'
import root from 'tap'
import type { Test } from 'tap'
import { start } from '../commands/support.js'
import { call, serve } from '../faults/support.js'
import type { Service } from '../faults/support.js'
import { bearer } from '../helper.js'
import type { TokenBody } from '../helper.js'
import { createDatabase } from './databases.js'
import { startPostgres } from './server.js'

/** Milliseconds within which a revocation must hold everywhere: the default. */
export const BOUND = 1_000

/**
 * Milliseconds after which something that recovers by itself, within a few seconds, has failed to. Loaded machines take
 * their time.
 */
const PATIENCE = 30_000

/** The URL of a new database, on the server of `LATCHKEY_TEST_POSTGRES` or on one that ends with this file. */
export async function makeDatabase (): Promise<string> {
  if (process.env.LATCHKEY_TEST_POSTGRES === undefined) {
    const server = await startPostgres()
    root.teardown(() => server.stop())
    process.env.LATCHKEY_TEST_POSTGRES = server.url
  }
  return createDatabase()
}

/** What makes a process use this database. */
function environmentOf (database: string): Record<string, string> {
  return { LATCHKEY_DATABASE: database, LATCHKEY_SECRET: 'a secret of the nodes of these tests' }
}

/** Starts a node: a process of its own, by the command line. */
export async function startNode (
  t: Test, database: string, { env = {}, nodeArgs = [] }: { env?: Record<string, string>, nodeArgs?: string[] } = {}
): Promise<Service> {
  return await serve(t, tmpdir(), { env: { ...environmentOf(database), ...env }, nodeArgs })
}

/** Runs a verb on this database; its output. */
export async function runVerb (database: string, args: string[], input = ''): Promise<string> {
  const { code, stdout, stderr } = await start(tmpdir(), args, { env: environmentOf(database), input })
  if (code !== 0) throw new Error(`latchkey ${args.join(' ')} ended with ${code}: ${stderr}`)
  return stdout
}

/** Expects this of an answer, and gives it. */
export async function must (status: number, answer: ReturnType<typeof call>): Promise<Record<string, unknown>> {
  const given = await answer
  if (given?.status !== status) {
    throw new Error(
    `${status} was expected: ${given?.status} ${JSON.stringify(given?.body)}`
    )
  }
  return given.body ?? {}
}

/** Logs in; throws where that does not work. */
export async function logInWith (url: string, username: string, password: string): Promise<TokenBody> {
  return await must(
    200, call(url, '/token', { form: { grant_type: 'password', username, password } })
  ) as unknown as TokenBody
}

/** One answer to a protected call, and when it was asked for and came (milliseconds of `performance.now()`). */
export interface Look {
  asked: number
  answered: number
  status: number
  code: string
}

/**
 * A protected call that needs nothing but the verification: a token that is good lacks the scope, and gets 403. Asked
 * again where the machine is too busy.
 */
export async function look (url: string, token: string): Promise<Look> {
  for (;;) {
    const asked = performance.now()
    const response = await fetch(`${url}/clients`, { headers: bearer(token) })
    const { code = '' } = await response.json() as { code?: string }
    if (code !== 'overloaded') return { asked, answered: performance.now(), status: response.status, code }
    await delay(100)
  }
}

/** What a node has said of faults of its own: that the machine is too busy is none. */
export function faultsOf ({ output, errors }: Service): string[] {
  return [
    ...output.split('\n').filter(line => line.includes('"level":50') && !line.includes('eventLoopDelay')),
    ...errors.split('\n').filter(line => line !== '')
  ]
}

/** Whether the token was taken for a good one. */
export function isYes ({ status }: Look): boolean {
  return status === 403
}

/** Makes protected calls without a pause, one after the other, until `end` says so of one; all of them. */
export async function lookUntil (
  url: string, token: string, end: (look: Look) => boolean, patience = PATIENCE
): Promise<Look[]> {
  const looks: Look[] = []
  const deadline = performance.now() + patience
  for (;;) {
    const next = await look(url, token)
    looks.push(next)
    if (end(next)) return looks
    if (performance.now() > deadline) {
      throw new Error(
      `It does not come: the last answer was ${next.status} ${next.code}`
      )
    }
  }
}

/** What makes a token die on one node. Resolves when that is acknowledged. */
export type Ending = () => Promise<unknown>

/**
 * Ends a token, and looks from before to after at each of the other nodes. Gives for each how long after the
 * acknowledgement the first refusal came, in milliseconds (0: before it), and fails on a yes that was asked for after
 * the bound, or after a no.
 */
export async function measureEnding (
  t: Test, others: readonly Service[], token: string, end: Ending, name: string
): Promise<number[]> {
  for (const { url } of others) t.ok(isYes(await look(url, token)), `${name}: good before`)
  let acknowledged = Infinity
  const watching = others.map(({ url }) => lookUntil(url, token, ({ status }) => status === 401))
  await end()
  acknowledged = performance.now()
  const watched = await Promise.all(watching)
  for (const [index, looks] of watched.entries()) {
    t.notOk(looks.some(one => isYes(one) && one.asked > acknowledged + BOUND), `${name}: no yes after the bound`)
    const after = await Promise.all(Array.from({ length: 3 }, () => look(others[index]?.url ?? '', token)))
    t.notOk(after.some(isYes), `${name}: no yes after a no`)
  }
  return watched.map(looks => Math.max(0, (looks.at(-1)?.answered ?? Infinity) - acknowledged))
}

/** The percentiles of times, as a line. */
export function describeTimes (times: readonly number[]): string {
  const sorted = [...times].sort((a, b) => a - b)
  const at = (share: number): string => (sorted[Math.min(
    sorted.length - 1, Math.floor(share * sorted.length)
  )] ?? NaN).toFixed(1)
  return `${sorted.length} measured, p50 ${at(0.5)} ms, p99 ${at(0.99)} ms, max ${at(1)} ms`
}

/** Waits until it is so. */
export async function until (what: string, condition: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + PATIENCE
  while (!await condition()) {
    if (performance.now() > deadline) throw new Error(`It does not come: ${what}`)
    await delay(20)
  }
}

/** The status of `GET /health/ready`. */
export async function readiness (url: string): Promise<number> {
  const response = await fetch(`${url}/health/ready`)
  await response.arrayBuffer()
  return response.status
}
