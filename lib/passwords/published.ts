// An estimator gives a famous passphrase many guesses, because it has several words, but an attacker tries it first.
// Words of one letter are left out, because they would match inside other words.
const PHRASES = [
  'correct horse battery staple', // xkcd 936
  'longer horse and another battery', // the documentation of earlier versions
  'choose your own passphrase', // the OpenAPI document
  'the quick brown fox jumps over the lazy dog',
  'to be or not to be that is the question',
  'may the force be with you',
  'all your base are belong to us',
  'lorem ipsum dolor sit amet consectetur adipiscing elit',
  'happy birthday to you',
  'twinkle twinkle little star',
  'once upon time in land far away',
  'one ring to rule them all',
  'live long and prosper',
  'winter is coming',
  'all work and no play makes jack dull boy',
  'our father who art in heaven hallowed be thy name',
  'in the beginning was the word',
  'let there be light',
  'never gonna give you up',
  'let it go',
  'supercalifragilisticexpialidocious',
  'antidisestablishmentarianism',
  'pneumonoultramicroscopicsilicovolcanoconiosis'
]

/** Digits that anyone can look up: pi and e. */
const CONSTANTS = [
  '31415926535897932384626433832795028841971693993751',
  '27182818284590452353602874713526624977572470936999'
]

/** This many digits of a constant in a row are not a coincidence. */
const LEAST_DIGITS = 8

/** Fewer letters and digits are everyday words, such as `is not the`. */
const LEAST_CHARACTERS = 10

const LEET: Record<string, string> = {
  a: '[a4@]', b: '[b8]', e: '[e3]', i: '[i1!]', l: '[l1]', o: '[o0]', s: '[s5$]', t: '[t7+]'
}

/**
 * Three words of one phrase in a row, or all of a shorter one: in any order and case, with any digits and punctuation
 * between them. Short words have no look-alike characters, because these would be found in random digits.
 */
const PATTERNS = PHRASES.map(phrase => {
  // Longer words first, or `an` would match in `another`.
  const longestFirst = phrase.split(' ').sort((one, other) => other.length - one.length)
  const words = longestFirst.map(word => {
    return word.length < 4 ? word : [...word].map(letter => LEET[letter] ?? letter).join('')
  })
  return new RegExp(`(?:(?:${words.join('|')})[^\\p{L}]*){${Math.min(words.length, 3)},}`, 'giu')
})

/** Replaces each published passphrase in a text with one word, so that only the additions count. */
export function replacePublished (text: string, word: string): string {
  const replaced = PATTERNS.reduce((result, pattern) => {
    return result.replace(pattern, match => isPhrase(match) ? word : match)
  }, text)
  return CONSTANTS.reduce((result, constant) => replaceDigits(result, constant, word), replaced)
}

/** Whether a match is a phrase. Random digits are not, although each word may be written in digits. */
function isPhrase (match: string): boolean {
  return /\p{L}/u.test(match) && (match.match(/[\p{L}\p{N}]/gu)?.length ?? 0) >= LEAST_CHARACTERS
}

function replaceDigits (text: string, constant: string, word: string): string {
  const start = text.indexOf(constant.slice(0, LEAST_DIGITS))
  if (start === -1) return text
  let end = start + LEAST_DIGITS
  while (end - start < constant.length && text[end] === constant[end - start]) end++
  return text.slice(0, start) + word + text.slice(end)
}
