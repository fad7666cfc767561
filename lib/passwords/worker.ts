import { costOf } from './hash-format.js'
import { hashPassword, spendDifference, verifyPassword } from './hashing.js'
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
}

export type PasswordTask = HashTask | VerifyTask

yieldToEventLoop()

/**
 * Does one job synchronously, because this thread has nothing else to do.
 *
 * @returns The new hash, or whether the password matches.
 */
export default function runPasswordTask (task: PasswordTask): string | boolean {
  if (task.kind === 'hash') return hashPassword(task.password, task.cost)
  const matches = verifyPassword(task.password, task.hash)
  spendDifference(costOf(task.hash) ?? task.cost, task.cost)
  return matches
}
