// An attacker tries a common password in several spellings. An estimator does not recognise it in `p.a.s.s.w.o.r.d`, in
// `pàsswòrd`, or in `!QAZ2wsx` typed with the shift key.

/** One way to read a password. */
export interface Spelling {
  text: string
  /** What the differences from the simple spelling add to its guesses, as a power of ten. */
  extra: number
}

const SHIFTED = '!@#$%^&*()'
const DIGITS = '1234567890'
const RUSSIAN = 'йцукенгшщзхъфывапролджэячсмитьбю'
const AT_SAME_KEYS = "qwertyuiop[]asdfghjkl;'zxcvbnm,."

/** A repeated part of at least this many characters adds next to nothing. */
const LEAST_REPEATED = 4

/** Returns the password as it is, as letters and digits only, and as its keys on an English keyboard. */
export function spellingsOf (text: string): Spelling[] {
  const spellings = [{ text, extra: 0 }, simplify(text), { text: toKeys(text), extra: 0 }]
  const seen = new Set<string>()
  return spellings.filter(spelling => {
    const isNew = spelling.text !== '' && !seen.has(spelling.text)
    seen.add(spelling.text)
    return isNew
  })
}

/** Each kind of separator counts as ten guesses, so that random characters keep most of their estimate. */
function simplify (text: string): Spelling {
  const bare = text.normalize('NFKD').replace(/\p{M}/gu, '')
  const separators = new Set(bare.match(/[^\p{L}\p{N}]/gu))
  return { text: dropRepeats(bare.replace(/[^\p{L}\p{N}]/gu, '')), extra: separators.size }
}

function dropRepeats (text: string): string {
  const lower = text.toLowerCase()
  // Upper and lower case of some letters differ in length.
  if (lower.length !== text.length) return text
  let kept = ''
  let seen = ''
  let at = 0
  while (at < text.length) {
    let length = 0
    while (at + length < text.length && seen.includes(lower.slice(at, at + length + 1))) length++
    const isRepeat = length >= LEAST_REPEATED
    if (!isRepeat) {
      kept += text.charAt(at)
      seen += lower.charAt(at)
    }
    at += isRepeat ? length : 1
  }
  return kept
}

function toKeys (text: string): string {
  return [...text].map(character => {
    const digit = SHIFTED.indexOf(character)
    if (digit !== -1) return DIGITS.charAt(digit)
    const key = RUSSIAN.indexOf(character.toLowerCase())
    return key === -1 ? character : AT_SAME_KEYS.charAt(key)
  }).join('')
}
