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
  'never gonna give you up'
]

const LEET: Record<string, string> = {
  a: '[a4@]', b: '[b8]', e: '[e3]', i: '[i1!]', l: '[l1]', o: '[o0]', s: '[s5$]', t: '[t7+]'
}

/**
 * Four words of one phrase in a row, or all of a shorter one: in any order and case, with any digits and punctuation
 * between them.
 */
const PATTERNS = PHRASES.map(phrase => {
  // Longer words first, or `an` would match in `another`.
  const longestFirst = phrase.split(' ').sort((one, other) => other.length - one.length)
  const words = longestFirst.map(word => [...word].map(letter => LEET[letter] ?? letter).join(''))
  return new RegExp(`(?:(?:${words.join('|')})[^\\p{L}]*){${Math.min(words.length, 4)},}`, 'giu')
})

/** Replaces each published passphrase in a text with one word, so that only the additions count. */
export function replacePublished (text: string, word: string): string {
  return PATTERNS.reduce((result, pattern) => result.replace(pattern, word), text)
}
