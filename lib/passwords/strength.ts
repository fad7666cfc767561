import { ZxcvbnFactory } from '@zxcvbn-ts/core'
import type { Match } from '@zxcvbn-ts/core'
import { adjacencyGraphs, dictionary } from '@zxcvbn-ts/language-common'
import type { PasswordRules } from './policy.js'
import { replacePublished } from './published.js'

/**
 * The fewest guesses that an attacker must need, as a power of ten. A common password with digits, capitals and a sign around
 * it is estimated at 8 to 8.5, and two unrelated words at 9.5. A thief of the database needs a day for so many guesses at bcrypt
 * cost 12, if graphics cards try 10,000 a second; through the throttle of the service they take centuries.
 */
const MIN_GUESSES_LOG10 = 9

/** How many characters are analysed. The time grows faster than the length, and 64 are enough to tell. */
const MAX_ANALYSED = 64

const estimator = new ZxcvbnFactory({ dictionary, graphs: adjacencyGraphs })

/**
 * Why a new password is too easy to guess: one sentence that never quotes it, or undefined. NIST SP 800-63B-4 section 3.1.1.2:
 * a blocklist, a reason, and no rules of composition. Takes up to about 0.1 seconds: call it in a worker.
 */
export function findWeakness (password: string, { minLength, username = '' }: PasswordRules): string | undefined {
  const text = password.normalize('NFKC').slice(0, MAX_ANALYSED)
  const replaced = replacePublished(text, 'password')
  const words = wordsOf(username)
  const { guessesLog10, sequence } = estimator.check(replaced, words)
  // Where the option allows shorter passwords, a random one of that length must do: the estimate for it is 10 to its length.
  if (guessesLog10 >= Math.min(MIN_GUESSES_LOG10, minLength)) return undefined
  const reason = replaced === text ? describe(sequence, words) : 'a well-known passphrase'
  return `It is too easy to guess: it contains ${reason}. Choose a longer one, or several unrelated words.`
}

/** What an attacker tries first here. */
function wordsOf (username: string): string[] {
  const name = username.normalize('NFKC')
  return ['latchkey', name, name.split('@', 1)[0] ?? '', ...name.split(/[^\p{L}\p{N}]+/u)].filter(word => word.length > 2)
}

const REASONS: Record<string, string> = {
  spatial: 'keys that are next to each other',
  repeat: 'a part that repeats',
  sequence: 'a simple sequence of characters',
  date: 'a date',
  regex: 'a year'
}

/** The longest part that is easy to guess. */
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
