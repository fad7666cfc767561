/** Longer than any token that we make, shorter than what is worth decoding. */
export const MAX_TOKEN_LENGTH = 8_192

/** The header of a JWS in its compact form: not believed, only read. */
export interface TokenHeader {
  members: Record<string, unknown>
  text: string
}

/** Reads the header of what looks like a token; undefined for any other text. */
export function readHeader (token: string): TokenHeader | undefined {
  if (token.length > MAX_TOKEN_LENGTH) return undefined
  const [encodedHeader, , signature, ...rest] = token.split('.')
  if (encodedHeader === undefined || signature === undefined || rest.length > 0) return undefined
  // One signature has up to 16 spellings that decode alike; only the canonical one is a token's.
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
 * Whether no member stands there twice, of which another reader might take the first. Look at the members before: of a header
 * that is nested a thousand deep nobody should make a text.
 */
export function isCanonical ({ members, text }: TokenHeader): boolean {
  return JSON.stringify(members) === text
}

/** Bytes of a name: what an index of a database takes. */
const MAX_NAME = 1_024

/** What not every database holds as it is: two names would become one, or one of them would be kept as another. */
const UNKEPT = /[\0\p{Surrogate}]/u

/** Whether a claim is a text that can name something. */
export function isName (claim: unknown): claim is string {
  return typeof claim === 'string' && claim !== '' && Buffer.byteLength(claim) <= MAX_NAME && !UNKEPT.test(claim)
}
