import { ZxcvbnFactory } from '@zxcvbn-ts/core'
import type { Match } from '@zxcvbn-ts/core'
import { adjacencyGraphs, dictionary } from '@zxcvbn-ts/language-common'
import { dictionary as english } from '@zxcvbn-ts/language-en'
import type { PasswordRules } from './policy.js'
import { replacePublished } from './published.js'
import { spellingsOf } from './spellings.js'

/**
 * The fewest guesses that an attacker must need, as a power of ten. Two unrelated English words are estimated at 7 to
 * 8.5, a common password with digits, capitals and signs around it at up to 9.8, and three unrelated words at 10 to 12.
 * A thief of the database who tries 10,000 a second against bcrypt at cost 12 needs 3 hours for two words and 12 days
 * for 10^10 guesses. So two words are refused, and three are not. Through the throttle of the service either takes
 * centuries.
 */
const MIN_GUESSES_LOG10 = 10

/** How many characters are analysed at once. The time grows faster than the length. */
const MAX_ANALYSED = 64

// With the default of 100 readings of look-alike characters a check takes up to a second. Common passwords need few.
const estimator = new ZxcvbnFactory({
  dictionary: { ...dictionary, ...english }, graphs: adjacencyGraphs, l33tMaxSubstitutions: 8
})

/**
 * Returns why a new password is too easy to guess: one sentence that never quotes it, or undefined. As specified in
 * NIST SP 800-63B-4 section 3.1.1.2, it gives a reason and has no composition rules. It takes up to a second, so call
 * it in a worker.
 */
export function findWeakness (password: string, rules: PasswordRules): string | undefined {
  const text = password.normalize('NFKC')
  const weakness = findIn(text.slice(0, MAX_ANALYSED), rules)
  // A long password is as strong as its strongest part.
  const isLong = weakness !== undefined && text.length > MAX_ANALYSED
  return isLong && findIn(text.slice(-MAX_ANALYSED), rules) === undefined ? undefined : weakness
}

function findIn (text: string, { minLength, username = '' }: PasswordRules): string | undefined {
  const words = wordsOf(username)
  // If the option allows shorter passwords, a random one of that length must do. Its estimate is 10 to its length.
  const needed = Math.min(MIN_GUESSES_LOG10, minLength)
  for (const spelling of spellingsOf(text)) {
    const replaced = replacePublished(spelling.text, 'password')
    const { guessesLog10, sequence } = estimator.check(replaced, words)
    if (guessesLog10 + spelling.extra >= needed) continue
    const reason = replaced === spelling.text ? describe(sequence, words) : 'a well-known passphrase'
    return `It is too easy to guess: it contains ${reason}. Choose a longer one, or several unrelated words.`
  }
  return undefined
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
  wordSequence: 'words that belong together',
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
