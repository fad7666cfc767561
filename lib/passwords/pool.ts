import { availableParallelism } from 'node:os'
import { MAX_MEMORY, readForeignHash } from './formats/formats.js'
import { dummyHash, isBcryptHash, MAX_COST, MIN_COST, needsRehash } from './hash-format.js'
import { findSizeProblem, MAX_PASSWORD_LENGTH } from './policy.js'
import type { PasswordRules } from './policy.js'
import type { StrengthTask } from './strength-worker.js'
import type { PasswordTask } from './worker.js'
import { createWorkers } from './workers.js'
import type { Caller } from './workers.js'

export { PasswordQueueFullError } from './workers.js'
export type { Caller } from './workers.js'

/** The options of `createPasswords`. */
export interface PasswordOptions {
  /** The bcrypt cost of new hashes, 4 to 20. */
  cost: number
  /** The most threads that hash at the same time. Default: os.availableParallelism(). */
  threads?: number
  /** The most jobs that wait for a thread, 0 or more. Anonymous checks have a second queue as long. Default: 64. */
  maxQueue?: number
}

/** The result of `verify`. */
interface Verification {
  /** Whether the password belongs to the hash. */
  valid: boolean
  /** Whether to store a new hash of this password now. Never true if `valid` is false. */
  needsRehash: boolean
}

/** Hashes, verifies and checks passwords off the event loop. */
export interface Passwords {
  /**
   * Makes a hash of the configured cost. Rejects with PasswordQueueFullError, or when closed.
   * @param caller Who the job is for. Default: the host or the command line.
   */
  hash (password: string, caller?: Caller): Promise<string>
  /**
   * Verifies a password, with at least the work of the configured cost. If there is no hash (no such user), if the hash
   * is not supported, or if the text is too long to be a password, it does the same work and finds no match. Rejects
   * with PasswordQueueFullError, or when closed. The caller is as above. `dummies` are hashes of other systems, one of
   * each family, whose work it does too. Default: none.
   */
  verify (
    password: string, hash: string | undefined, options?: Caller & { dummies?: readonly string[] }
  ): Promise<Verification>
  /**
   * Checks a new password. Resolves with one sentence for people, which never quotes it, or with undefined if it is
   * acceptable. Rejects with PasswordQueueFullError, or when closed. `caller` as above.
   */
  check (password: string, rules: PasswordRules, caller?: Caller): Promise<string | undefined>
  /** How many jobs wait for a thread. */
  readonly queueSize: number
  /** Rejects waiting jobs, lets running jobs finish, then ends the threads. */
  close (): Promise<void>
}

function requireInteger (name: string, value: number, { min, max }: { min: number, max: number }): void {
  if (Number.isInteger(value) && value >= min && value <= max) return
  throw new RangeError(`passwords: "${name}" must be an integer from ${min} to ${max}.`)
}

/** The most bytes that a task holds at a time. bcrypt needs next to nothing. */
function memoryOf (task: PasswordTask): number {
  if (task.kind === 'hash') return 0
  return Math.max(...[task.hash, ...task.dummies ?? []].map(hash => readForeignHash(hash)?.memory ?? 0))
}

/**
 * Starts the password service. See `createWorkers` for threads and the queue.
 *
 * Logins and password changes share one queue of hashing jobs, in which addresses take turns. Checks have two queues,
 * because one thread does them all and registrations would delay password changes.
 *
 * That thread does nothing else. Its dictionaries take 26 MB, which each hashing thread would need too.
 *
 * @throws RangeError for an option out of its bounds.
 */
export function createPasswords (options: PasswordOptions): Passwords {
  const { cost, threads: maxThreads = availableParallelism(), maxQueue = 64 } = options
  requireInteger('cost', cost, { min: MIN_COST, max: MAX_COST })
  requireInteger('threads', maxThreads, { min: 1, max: 1024 })
  requireInteger('maxQueue', maxQueue, { min: 0, max: 1_000_000 })

  // Tools that copy only the files that an app needs find these two because the names are literals.
  const hashing = createWorkers<PasswordTask, string | boolean>({
    url: new URL('./worker.js', import.meta.url), maxThreads, maxQueue, memory: { of: memoryOf, max: MAX_MEMORY }
  })
  const checking = createWorkers<StrengthTask, string | undefined>({
    url: new URL('./strength-worker.js', import.meta.url), maxThreads: 1, maxQueue
  })
  const dummy = dummyHash(cost)

  async function hash (password: string, { origin }: Caller = {}): Promise<string> {
    return await hashing.run({ kind: 'hash', password, cost }, { origin }) as string
  }

  async function verify (
    password: string,
    hash: string | undefined,
    { origin, dummies = [] }: Caller & { dummies?: readonly string[] } = {}
  ): Promise<Verification> {
    const known = hash !== undefined && (isBcryptHash(hash) || readForeignHash(hash) !== undefined)
    const target = known ? hash : dummy
    const clipped = password.slice(0, MAX_PASSWORD_LENGTH)
    const matches = await hashing.run({ kind: 'verify', password: clipped, hash: target, cost, dummies }, { origin })
    const valid = known && matches === true && password.length <= MAX_PASSWORD_LENGTH
    return { valid, needsRehash: valid && needsRehash(target, cost) }
  }

  async function check (password: string, rules: PasswordRules, caller?: Caller): Promise<string | undefined> {
    return findSizeProblem(password, rules.minLength) ?? await checking.run({ password, rules }, caller)
  }

  async function close (): Promise<void> {
    await Promise.all([hashing.close(), checking.close()])
  }

  return { hash, verify, check, get queueSize () { return hashing.queueSize + checking.queueSize }, close }
}
