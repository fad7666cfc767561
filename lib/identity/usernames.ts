import { MAX_USERNAME_LENGTH } from '../../schemas/common.js'
import { LatchkeyError } from '../errors.js'
import { hasStraySpace, nameCharacter } from './visible-text.js'

// An i with a combining dot above shows only one dot, so a reader cannot see the difference.
const WITH_MARKS = /\p{Soft_Dotted}\p{M}+/gu

/**
 * UTF-16 units that are normalised at most, because the time grows with the square of the marks on one letter. NFKC
 * composes up to four units into one, so a longer text cannot become a username.
 */
const MAX_TYPED_LENGTH = 4 * MAX_USERNAME_LENGTH

/**
 * The key under which a username is unique, and by which a login finds it. It folds width, compatibility forms, case,
 * the final sigma and the dot above an i. It accepts any text, because accounts made under other rules must still be
 * found. A text that is too long for a username stays as it is, and is longer than any key.
 */
export function keyOf (username: string): string {
  if (username.length > MAX_TYPED_LENGTH) return username
  const folded = username.normalize('NFKC').toLowerCase().replaceAll('ς', 'σ').normalize('NFKC')
  return folded.replace(WITH_MARKS, letter => letter.replaceAll('\u0307', '')).normalize('NFC')
}

/** The form of a username that is stored. `findUsernameProblem` refuses a text that is longer than any username. */
export function formOf (username: string): string {
  return username.length > MAX_TYPED_LENGTH ? username : username.normalize('NFKC')
}

/**
 * Code points that are refused although their category is allowed: those that RFC 5892 section 2.6 refuses, old Hangul
 * letters (RFC 8264 section 9.9), and blank ones.
 */
const EXCEPTIONS = '\\u0640\\u07FA\\u3031-\\u3035\\u303B' +
  '\\u1100-\\u11FF\\uA960-\\uA97F\\uD7B0-\\uD7FF\\u{13441}\\u{13442}'

/** Punctuation inside real names, allowed only beside the letters of its own script (RFC 5892, appendix A). */
const IN_CONTEXT = '(?<=[lL])\\u00B7(?=[lL])|(?<=\\p{Script=Hebrew})[\\u05F3\\u05F4]|' +
  '(?<=[\\p{Script=Hira}\\p{Script=Kana}\\p{Script=Han}])\\u30FB'

/** The IdentifierClass of RFC 8264, the space between words of RFC 8265, and emoji that stand alone. */
const ALLOWED = `(?!\\u302E|\\u302F|\\u{16FE4}|[${EXCEPTIONS}\\p{Default_Ignorable_Code_Point}])` +
  '[\\x20-\\x7E\\p{Ll}\\p{Lu}\\p{Lo}\\p{Lm}\\p{Mn}\\p{Mc}\\p{Nd}\\p{Emoji_Presentation}\\u06FD\\u06FE\\u0F0B\\u3007]'
const FORBIDDEN = new RegExp(`(?!${ALLOWED}|${IN_CONTEXT})[^]`, 'u')

/** The ranges in which letters and digits run from right to left, assigned or not (Unicode, DerivedBidiClass). */
const RTL = '\\u0590-\\u08FF\\uFB1D-\\uFDFF\\uFE70-\\uFEFF\\u{10800}-\\u{10FFF}\\u{1E800}-\\u{1EFFF}'
const HAS_RTL = new RegExp(`[${RTL}]`, 'u')
const IS_RTL = new RegExp(`^(?!\\p{Nd})[${RTL}][${RTL}\\x20-@[-\`{-~]*$`, 'u')
const ENDS_RTL = new RegExp(`[${RTL}0-9]$`, 'u')
const DIGITS = [/[0-9\u06F0-\u06F9]/u, /[\u0660-\u0669]/u]

/** Whether a name with right-to-left letters follows the bidi rule of RFC 5893 section 2. Marks have no direction. */
function hasOneDirection (normal: string): boolean {
  const letters = normal.replace(/\p{M}/gu, '')
  if (!HAS_RTL.test(letters)) return true
  return IS_RTL.test(letters) && ENDS_RTL.test(letters) && !DIGITS.every(digits => digits.test(letters))
}

/** Scripts in wide use (UAX 31, table 5). */
const SCRIPTS = [
  'Latn', 'Cyrl', 'Grek', 'Armn', 'Geor', 'Hebr', 'Arab', 'Thaa', 'Ethi', 'Deva', 'Beng', 'Guru',
  'Gujr', 'Orya', 'Taml', 'Telu', 'Knda', 'Mlym', 'Sinh', 'Thai', 'Laoo', 'Tibt', 'Mymr', 'Khmr'
]
/** The scripts that Japanese, Korean and Chinese names use together. */
const MIXED_SCRIPTS = [['Latn', 'Hani', 'Hira', 'Kana'], ['Latn', 'Hani', 'Hang'], ['Latn', 'Hani', 'Bopo']]
const ANY_SCRIPT = [...SCRIPTS, 'Hani', 'Hira', 'Kana', 'Hang', 'Bopo']

/**
 * The characters that one word may consist of. This is "highly restrictive" in UTS 39, applied to each word, so that
 * иван@example.com is a name.
 */
const WORDS = [
  ...[...SCRIPTS.map(script => [script]), ...MIXED_SCRIPTS].map(scripts => {
    return `[${[...scripts, 'Zyyy', 'Zinh'].map(script => `\\p{scx=${script}}`).join('')}]`
  }),
  `[^${ANY_SCRIPT.map(script => `\\p{Script=${script}}`).join('')}]`
].map(characters => new RegExp(`^${characters}*`, 'u'))

/**
 * Why a text cannot be the name of a new account: a sentence that names the character, or undefined if it can. The
 * sentence never repeats the text. The rules follow RFC 8265, UsernameCaseMapped; docs/security.md lists the
 * differences.
 */
export function findUsernameProblem (username: string): string | undefined {
  const normal = formOf(username)
  if (normal === '' || normal.length > MAX_USERNAME_LENGTH) {
    return `A username must have 1 to ${MAX_USERNAME_LENGTH} characters.`
  }
  const forbidden = findForbidden(username, normal)
  if (forbidden !== undefined) return `A username cannot contain ${nameCharacter(forbidden)}.`
  if (hasStraySpace(normal)) return 'A username cannot begin or end with a space, or contain two spaces in a row.'
  const loose = /(?:^| )(\p{M})/u.exec(normal)?.[1]
  if (loose !== undefined) return `A word of a username cannot begin with ${nameCharacter(loose)}.`
  if (!hasOneDirection(normal)) {
    return 'A username with right-to-left letters must begin with one, end with one or a digit, ' +
      'and contain no other letters.'
  }
  const foreign = findForeign(normal)
  if (foreign === undefined) return undefined
  return `A word of a username cannot mix scripts: ${nameCharacter(foreign)} is from another script.`
}

/**
 * The username as it is stored, for new accounts. Throws `invalid_request` with the sentence of `findUsernameProblem`.
 */
export function normaliseUsername (username: string): string {
  const problem = findUsernameProblem(username)
  if (problem !== undefined) throw new LatchkeyError('invalid_request', { message: problem })
  return formOf(username)
}

/** Returns the forbidden character as the user typed it, because NFKC may have turned it into another one. */
function findForbidden (username: string, normal: string): string | undefined {
  const typed = [...username]
  // This finds more than other spaces, because NFKC also turns an acute accent into a space and a mark.
  const spaced = typed.find(character => character !== ' ' && character.normalize('NFKC').includes(' '))
  if (spaced !== undefined) return spaced
  const [forbidden] = FORBIDDEN.exec(normal) ?? []
  if (forbidden === undefined) return undefined
  return typed.find(character => character.normalize('NFKC').includes(forbidden)) ?? forbidden
}

/** Returns the first character of a word whose script differs from that of the characters before it. */
function findForeign (normal: string): string | undefined {
  for (const word of normal.split(/[\x20-\x2F:-@[-`{-~]+/u)) {
    const length = Math.max(...WORDS.map(pattern => pattern.exec(word)?.[0].length ?? 0))
    if (length < word.length) return String.fromCodePoint(word.codePointAt(length) ?? 0)
  }
  return undefined
}
