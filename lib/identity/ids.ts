import { v7, parse, validate, version } from 'uuid'

/**
 * Makes the id of a token, a session or a user: a UUIDv7 (RFC 9562 section 5.7), 48 bits of milliseconds, then
 * randomness.
 */
export function createId (now: number): string {
  return v7({ msecs: now })
}

/** The last time that an id can hold, in milliseconds. */
export const LAST_ID_TIME = 2 ** 48 - 1

/** Returns the time in a UUIDv7, in milliseconds. Returns undefined for any other text. */
export function timeOfId (id: string): number | undefined {
  if (!validate(id) || version(id) !== 7) return undefined
  return Buffer.from(parse(id)).readUIntBE(0, 6)
}
