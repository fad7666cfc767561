/** The longest text that is decoded. No token that we make is longer. */
export const MAX_TOKEN_LENGTH = 8_192

/** The header of a JWS in compact form. It has only been read, and is not trusted. */
export interface TokenHeader {
  members: Record<string, unknown>
  text: string
}

/** Reads the header of a text that looks like a token. Returns undefined for any other text. */
export function readHeader (token: string): TokenHeader | undefined {
  if (token.length > MAX_TOKEN_LENGTH) return undefined
  const [encodedHeader, , signature, ...rest] = token.split('.')
  if (encodedHeader === undefined || signature === undefined || rest.length > 0) return undefined
  // Up to 16 spellings of one signature decode to the same bytes. Only the canonical one is accepted.
  if (Buffer.from(signature, 'base64url').toString('base64url') !== signature) return undefined
  const text = Buffer.from(encodedHeader, 'base64url').toString()
  let members: unknown
  try {
    members = JSON.parse(text)
  } catch {
    return undefined
  }
  if (typeof members !== 'object' || members === null || Array.isArray(members)) return undefined
  return { members: members as Record<string, unknown>, text }
}

/**
 * Whether a header has no duplicate member, because another reader might take the first one. Check the members before
 * this, because a header that is nested a thousand levels deep should not be turned into text.
 */
export function isCanonical ({ members, text }: TokenHeader): boolean {
  return JSON.stringify(members) === text
}

/** The most bytes of a name. Every database can index so many. */
const MAX_NAME = 1_024

/** Characters that some databases change. Two names could become one, or a name could be stored as another. */
const UNKEPT = /[\0\p{Surrogate}]/u

/** Whether a claim is a text that can name something. */
export function isName (claim: unknown): claim is string {
  return typeof claim === 'string' && claim !== '' && Buffer.byteLength(claim) <= MAX_NAME && !UNKEPT.test(claim)
}
