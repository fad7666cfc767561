import { createHmac, timingSafeEqual } from 'node:crypto'
import { parse, stringify } from 'uuid'

/** The content of a refresh token: its session, and the generation of the session that it belongs to. */
export interface RefreshTokenParts {
  sessionId: string
  generation: number
  mac: Buffer
}

const PREFIX = 'lkr_'
const LENGTH = 16 + 6 + 32

/**
 * Returns the refresh token of a generation of a session: `lkr_`, then session id, generation and MAC in base64url. It
 * is derived and not stored, so a retry gets the same successor. A leaked database cannot make tokens, because the key
 * of the MAC is derived from the service's secret and the session's random nonce. The MAC has 256 bits: RFC 6749
 * section 10.10.
 */
export function formatRefreshToken ({ key, nonce, sessionId, generation }: {
  key: Buffer
  nonce: string
  sessionId: string
  generation: number
}): string {
  const name = nameOf(sessionId, generation)
  return PREFIX + Buffer.concat([name, macOf(key, nonce, name)]).toString('base64url')
}

/**
 * Splits a refresh token into its parts. Returns undefined if its length, alphabet or prefix is wrong, or if it is a
 * second spelling of the same bytes.
 */
export function parseRefreshToken (token: string): RefreshTokenParts | undefined {
  if (token.length !== PREFIX.length + LENGTH * 4 / 3 || !token.startsWith(PREFIX)) return undefined
  const bytes = Buffer.from(token.slice(PREFIX.length), 'base64url')
  if (bytes.length !== LENGTH || bytes.toString('base64url') !== token.slice(PREFIX.length)) return undefined
  try {
    return { sessionId: stringify(bytes.subarray(0, 16)), generation: bytes.readUIntBE(16, 6), mac: bytes.subarray(22) }
  } catch {
    return undefined // The first 16 bytes are not a UUID.
  }
}

/** Whether one of the keys made this token's MAC. */
export function isAuthentic (
  keys: readonly Buffer[],
  nonce: string,
  { sessionId, generation, mac }: RefreshTokenParts
): boolean {
  const name = nameOf(sessionId, generation)
  return keys.some(key => timingSafeEqual(macOf(key, nonce, name), mac))
}

function nameOf (sessionId: string, generation: number): Buffer {
  const name = Buffer.alloc(22)
  name.set(parse(sessionId))
  name.writeUIntBE(generation, 16, 6)
  return name
}

function macOf (key: Buffer, nonce: string, name: Buffer): Buffer {
  const sessionKey = createHmac('sha256', key).update(nonce).digest()
  return createHmac('sha256', sessionKey).update(name).digest()
}
