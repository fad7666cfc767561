import { ZxcvbnFactory } from '@zxcvbn-ts/core'
import type { Match } from '@zxcvbn-ts/core'
import { adjacencyGraphs, dictionary } from '@zxcvbn-ts/language-common'
import type { PasswordRules } from './policy.js'
import { replacePublished } from './published.js'

/**
 * The fewest guesses that an attacker must need, as a power of ten. A common password with digits, capitals and a sign
 * around it is estimated at 8 to 8.5, and two unrelated words at 9.5. A thief of the database who tries 10,000 a second
 * against bcrypt at cost 12 needs a day for them. Through the throttle of the service they take centuries.
 */
const MIN_GUESSES_LOG10 = 9

/** How many characters are analysed. The time grows faster than the length, and 64 are enough to tell. */
const MAX_ANALYSED = 64

const estimator = new ZxcvbnFactory({ dictionary, graphs: adjacencyGraphs })

/**
 * Why a new password is too easy to guess: one sentence that never quotes it, or undefined. As NIST SP 800-63B-4
 * section 3.1.1.2 asks, there is a reason, and there are no rules of composition. It takes up to 0.1 seconds: call it
 * in a worker.
 */
export function findWeakness (password: string, { minLength, username = '' }: PasswordRules): string | undefined {
  const text = password.normalize('NFKC').slice(0, MAX_ANALYSED)
  const replaced = replacePublished(text, 'password')
  const words = wordsOf(username)
  const { guessesLog10, sequence } = estimator.check(replaced, words)
  // If the option allows shorter passwords, a random one of that length must do. Its estimate is 10 to its length.
  if (guessesLog10 >= Math.min(MIN_GUESSES_LOG10, minLength)) return undefined
  const reason = replaced === text ? describe(sequence, words) : 'a well-known passphrase'
  return `It is too easy to guess: it contains ${reason}. Choose a longer one, or several unrelated words.`
}

/** The words that an attacker tries first. */
function wordsOf (username: string): string[] {
  const name = username.normalize('NFKC')
  const [local = ''] = name.split('@', 1)
  return ['latchkey', name, local, ...name.split(/[^\p{L}\p{N}]+/u)].filter(word => word.length > 2)
}

const REASONS: Record<string, string> = {
  spatial: 'keys that are next to each other',
  repeat: 'a part that repeats',
  sequence: 'a simple sequence of characters',
  date: 'a date',
  regex: 'a year'
}

/** Describes the longest part that is easy to guess. */
function describe (sequence: readonly Match[], words: string[]): string {
  const parts = sequence.filter(({ pattern }) => pattern === 'dictionary' || pattern in REASONS)
  const longest = parts.reduce<Match | undefined>((most, part) => {
    return most === undefined || part.token.length > most.token.length ? part : most
  }, undefined)
  if (longest === undefined) return 'too few characters that are hard to guess'
  if (longest.pattern === 'repeat') {
    const { sequence: [base] } = estimator.check(String(longest.baseToken), words)
    if (base?.pattern === 'dictionary') return `${describe([base], words)}, repeated`
  }
  if (longest.pattern !== 'dictionary') return REASONS[longest.pattern] ?? ''
  if (longest.dictionaryName === 'userInputs') return 'the username or the name of the service'
  return longest.dictionaryName === 'passwords-common' ? 'one of the most common passwords' : 'a common word'
}
