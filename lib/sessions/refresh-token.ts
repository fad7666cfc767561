import { createHmac, timingSafeEqual } from 'node:crypto'
import { parse, stringify } from 'uuid'

/** The content of a refresh token: its session, and the generation of the session that it belongs to. */
export interface RefreshTokenParts {
  sessionId: string
  generation: number
  /** Random, and the same for every generation. */
  nonce: string
}

const PREFIX = 'lkr_'

/** How many random bytes the nonce of a session has. */
export const NONCE_LENGTH = 18

const LENGTH = 16 + 6 + NONCE_LENGTH + 32

/**
 * Returns the refresh token of a generation of a session: `lkr_`, then session id, generation, the session's random
 * nonce, and the MAC of these in base64url. It is derived and not stored, so a retry gets the same successor. A leaked
 * database cannot make tokens, because the key of the MAC is derived from the service's secret. A leaked secret alone
 * cannot either, because the nonce is in the database. A forged token costs no query. The MAC has 256 bits: RFC 6749
 * section 10.10.
 */
export function formatRefreshToken ({ key, nonce, sessionId, generation }: {
  key: Buffer
  nonce: string
  sessionId: string
  generation: number
}): string {
  const name = nameOf({ sessionId, generation, nonce })
  return PREFIX + Buffer.concat([name, macOf(key, name)]).toString('base64url')
}

/**
 * Splits a refresh token into its parts. Returns undefined if its length, alphabet or prefix is wrong, if it is a
 * second spelling of the same bytes, or if none of the keys made its MAC.
 */
export function readRefreshToken (keys: readonly Buffer[], token: string): RefreshTokenParts | undefined {
  if (token.length !== PREFIX.length + LENGTH * 4 / 3 || !token.startsWith(PREFIX)) return undefined
  const bytes = Buffer.from(token.slice(PREFIX.length), 'base64url')
  if (bytes.length !== LENGTH || bytes.toString('base64url') !== token.slice(PREFIX.length)) return undefined
  const [name, mac] = [bytes.subarray(0, -32), bytes.subarray(-32)]
  if (!keys.some(key => timingSafeEqual(macOf(key, name), mac))) return undefined
  return {
    sessionId: stringify(name.subarray(0, 16)),
    generation: name.readUIntBE(16, 6),
    nonce: name.subarray(22).toString('base64url')
  }
}

function nameOf ({ sessionId, generation, nonce }: RefreshTokenParts): Buffer {
  const name = Buffer.alloc(22 + NONCE_LENGTH)
  name.set(parse(sessionId))
  name.writeUIntBE(generation, 16, 6)
  name.write(nonce, 22, 'base64url')
  return name
}

function macOf (key: Buffer, name: Buffer): Buffer {
  return createHmac('sha256', key).update(name).digest()
}
