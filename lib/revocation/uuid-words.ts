/** Marks a character that is not a digit. It survives the shifts below, because no digit reaches that far. */
const NONE = 0x10000

/** The value of each lower-case hexadecimal digit, by its ASCII code. */
const DIGITS = new Int32Array(128).fill(NONE)
for (let value = 0; value < 16; value++) DIGITS[value.toString(16).charCodeAt(0)] = value

const HYPHEN = '-'.charCodeAt(0)

/**
 * Reads a UUID of any version into four words without allocating, and returns whether it could. It accepts only the
 * canonical spelling (RFC 9562 section 4: 36 characters, here all in lower case), so two texts never give the same
 * words.
 */
export function readUuid (text: string, words: Int32Array): boolean {
  if (text.length !== 36) return false
  if (text.charCodeAt(8) !== HYPHEN || text.charCodeAt(13) !== HYPHEN) return false
  if (text.charCodeAt(18) !== HYPHEN || text.charCodeAt(23) !== HYPHEN) return false
  const a = readDigits(text, 0)
  const b = readDigits(text, 4)
  const c = readDigits(text, 9)
  const d = readDigits(text, 14)
  const e = readDigits(text, 19)
  const f = readDigits(text, 24)
  const g = readDigits(text, 28)
  const h = readDigits(text, 32)
  if ((a | b | c | d | e | f | g | h) >= NONE) return false
  words[0] = a << 16 | b
  words[1] = c << 16 | d
  words[2] = e << 16 | f
  words[3] = g << 16 | h
  return true
}

/** Returns the value of four digits. If one of them is no digit, returns at least `NONE`. */
function readDigits (text: string, at: number): number {
  const a = text.charCodeAt(at)
  const b = text.charCodeAt(at + 1)
  const c = text.charCodeAt(at + 2)
  const d = text.charCodeAt(at + 3)
  if ((a | b | c | d) >= DIGITS.length) return NONE
  return (DIGITS[a] as number) << 12 | (DIGITS[b] as number) << 8 | (DIGITS[c] as number) << 4 | (DIGITS[d] as number)
}
