/** The prefixes of our tokens and secrets. A JWT begins with `eyJ`, which is base64url of `{"`. */
const MARKS = ['eyJ', 'lkr_', 'lks_']

/** How many characters of a path a log line shows. */
const MAX_LENGTH = 256

const PERCENT = 0x25

/**
 * Returns the path of a URL as a log may show it: without the query, without tokens, and cut to a maximum length. It
 * uses no regular expression, because an attacker chooses the text and the time must be linear.
 */
export function maskPath (url: string): string {
  const query = url.indexOf('?')
  const path = query === -1 ? url : url.slice(0, query)
  const masked = hasToken(decode(path)) ? path.split('/').map(maskSegment).join('/') : path
  return masked.length > MAX_LENGTH ? `${masked.slice(0, MAX_LENGTH)}...` : masked
}

function maskSegment (segment: string): string {
  return hasToken(decode(segment)) ? '(token)' : segment
}

function hasToken (text: string): boolean {
  return MARKS.some(mark => text.includes(mark))
}

/**
 * Decodes percent-encoding in one pass, however often it was applied. Only ASCII has to be right, because the marks are
 * ASCII. An invalid escape stays as it is.
 */
function decode (text: string): string {
  if (!text.includes('%')) return text
  const codes: number[] = []
  for (let index = 0; index < text.length; index++) {
    codes.push(text.charCodeAt(index))
    while (codes.at(-3) === PERCENT) {
      const byte = 16 * digitOf(codes.at(-2)) + digitOf(codes.at(-1))
      if (Number.isNaN(byte)) break
      codes.splice(-3, 3, byte)
    }
  }
  return codes.map(code => String.fromCharCode(code)).join('')
}

/** The value of a hexadecimal digit, or NaN. */
function digitOf (code = 0): number {
  const isDigit = (code >= 0x30 && code <= 0x39) || (code >= 0x41 && code <= 0x46) || (code >= 0x61 && code <= 0x66)
  return isDigit ? parseInt(String.fromCharCode(code), 16) : NaN
}
