import { v7, parse, validate, version } from 'uuid'

/** A UUIDv7 (RFC 9562 section 5.7): 48 bits of milliseconds, then randomness. Tokens, sessions and users are named by these. */
export function createId (now: number): string {
  return v7({ msecs: now })
}

/** The millisecond that a UUIDv7 names, or undefined for anything else. */
export function timeOfId (id: string): number | undefined {
  if (!validate(id) || version(id) !== 7) return undefined
  return Buffer.from(parse(id)).readUIntBE(0, 6)
}
