import type { PasswordRules } from './policy.js'
import { yieldToEventLoop } from './priority.js'
import { findWeakness } from './strength.js'

/** A password to check. */
export interface StrengthTask {
  password: string
  rules: PasswordRules
}

yieldToEventLoop()

/** Checks one password synchronously, because this thread has nothing else to do. */
export default function runStrengthTask ({ password, rules }: StrengthTask): string | undefined {
  return findWeakness(password, rules)
}
