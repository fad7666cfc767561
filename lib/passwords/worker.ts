import type { ForeignHash } from './formats/format.js'
import { readForeignHash } from './formats/formats.js'
import { costOf, dummyHash } from './hash-format.js'
import { hashPassword, spendDifference, toForeignText, verifyForeign, verifyPassword } from './hashing.js'
import { yieldToEventLoop } from './priority.js'

/** Makes a hash of this cost. The answer is a string. */
export interface HashTask {
  kind: 'hash'
  password: string
  cost: number
}

/** Verifies against this hash, with at least the work of this cost. The answer is a boolean. */
export interface VerifyTask {
  kind: 'verify'
  password: string
  hash: string
  cost: number
  /** Hashes of other systems, one of each family. It also does the work of these. Default: none. */
  dummies?: readonly string[]
}

export type PasswordTask = HashTask | VerifyTask

yieldToEventLoop()

/**
 * Does one job. It blocks the thread, because this thread has nothing else to do.
 *
 * @returns The new hash, or whether the password matches.
 */
export default function runPasswordTask (task: PasswordTask): string | boolean | Promise<boolean> {
  if (task.kind === 'hash') return hashPassword(task.password, task.cost)
  const foreign = readForeignHash(task.hash)
  if (foreign !== undefined || (task.dummies ?? []).length > 0) return verifyAmongForeign(task, foreign)
  const matches = verifyPassword(task.password, task.hash)
  spendDifference(costOf(task.hash) ?? task.cost, task.cost)
  return matches
}

/** Verifies, and does all work that another account would need, so that the time does not reveal the kind of hash. */
async function verifyAmongForeign (
  { password, hash, cost, dummies = [] }: VerifyTask, foreign: ForeignHash | undefined
): Promise<boolean> {
  const matches = foreign === undefined ? verifyPassword(password, hash) : await verifyForeign(password, foreign)
  if (foreign === undefined) spendDifference(costOf(hash) ?? cost, cost)
  else verifyPassword('', dummyHash(cost))
  for (const dummy of dummies) {
    const other = readForeignHash(dummy)
    if (other === undefined) continue
    const left = other.work - (other.family === foreign?.family ? foreign.work : 0)
    // Derived from the same text, because the length of the password is part of the work.
    if (left > 0) await spend(() => other.derive(toForeignText(password).text, left))
  }
  return matches
}

/** Does work for nothing but its time. If it fails, the login must not fail with it. */
async function spend (work: () => unknown): Promise<void> {
  try {
    await work()
  } catch (error) {
    process.emitWarning(`Latchkey could not equalise the time of a login: ${String(error)}`)
  }
}
