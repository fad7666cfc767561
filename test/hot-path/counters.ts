import { createHook } from 'node:async_hooks'
import crypto from 'node:crypto'
import { syncBuiltinESMExports } from 'node:module'
import Database from 'better-sqlite3'

// Counts what is asked of others, whoever asks. To be imported before all else: what was taken out of a module before
// is not seen.

/**
 * `looks` are at `PRAGMA data_version`, `statements` all other work of the database, `lookUps` those in the index of
 * revocations.
 */
const CALLS = ['signatures', 'hashes', 'looks', 'statements', 'cookies', 'lookUps'] as const

/** What the event loop is given to do, by the names of node:async_hooks. */
const RESOURCES = ['PROMISE', 'Timeout', 'Immediate', 'TickObject', 'others'] as const

/** How often something happened; `turns` of the event loop are those in which a request came in. */
export type Counts = Record<typeof CALLS[number] | typeof RESOURCES[number] | 'turns', number>

/** The question whether another process has committed: see lib/store/sqlite/changes.ts. */
export const LOOK = 'PRAGMA data_version'

const counts = Object.fromEntries([...CALLS, ...RESOURCES, 'turns'].map(name => [name, 0])) as Counts

/** From now on the calls of these methods count as what `nameOf` says. */
function watch (
  target: object, methods: readonly string[], nameOf: (self: unknown, argument: unknown) => keyof Counts | undefined
): void {
  for (const method of methods) {
    const original = Reflect.get(target, method) as (...args: unknown[]) => unknown
    Reflect.set(target, method, function counted (this: unknown, ...args: unknown[]): unknown {
      const name = nameOf(this, args[0])
      if (name !== undefined) counts[name]++
      return Reflect.apply(original, this, args)
    })
  }
}

watch(crypto, ['verify'], () => 'signatures')
watch(crypto.Verify.prototype, ['verify'], () => 'signatures')
watch(crypto.Hmac.prototype, ['digest'], () => 'signatures')
watch(crypto.Hash.prototype, ['digest'], () => 'hashes')
syncBuiltinESMExports()

const database = new Database(':memory:')
const Statement = Object.getPrototypeOf(database.prepare(LOOK)) as object
database.close()
watch(
  Statement, ['get', 'all', 'run', 'iterate'],
  self => (self as Database.Statement).source === LOOK ? 'looks' : 'statements'
)
watch(Database.prototype, ['prepare', 'exec', 'transaction', 'pragma'], () => 'statements')

/** Counts how often a text is decoded that only a cookie has. */
export function watchCookie (encoded: string): void {
  watch(globalThis, ['decodeURIComponent'], (_self, text) => text === encoded ? 'cookies' : undefined)
}

/** Counts the look-ups in an index of revocations. */
export function watchIndex (revocations: object): void {
  watch(revocations, ['isRevoked'], () => 'lookUps')
}

let isThisTurn = false

/** An `onRequest` hook that counts the turns. It takes an Immediate for each, which is not counted. */
export function countTurn (_request: unknown, _reply: unknown, done: () => void): void {
  if (!isThisTurn) {
    isThisTurn = true
    counts.turns++
    counts.Immediate--
    setImmediate(() => { isThisTurn = false })
  }
  done()
}

const resources = createHook({
  init (_id, type) {
    counts[RESOURCES.find(name => name === type) ?? 'others']++
  }
})

/** What happens while `work` runs. */
export async function countWhile (work: () => Promise<void>): Promise<Counts> {
  const before = { ...counts }
  resources.enable()
  try {
    await work()
  } finally {
    resources.disable()
  }
  return Object.fromEntries(Object.entries(before).map(
    ([name, count]) => [name, counts[name as keyof Counts] - count]
  )) as Counts
}
