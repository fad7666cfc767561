import { isBcryptHash, MAX_COST, MIN_COST } from '../hash-format.js'
import { argon2 } from './argon2.js'
import type { ForeignHash, HashFormat } from './format.js'
import { pbkdf2 } from './pbkdf2.js'
import { phpass } from './phpass.js'
import { scrypt } from './scrypt.js'

/** The formats of other systems besides bcrypt. To add one, add a file beside these and an entry here. */
const FORMATS: readonly HashFormat[] = [argon2, scrypt, pbkdf2, phpass]

const MIB = 1024 * 1024

/**
 * The memory that one verification may hold, and also all verifications together. A hostile file could otherwise make
 * one login take all memory.
 */
export const MAX_MEMORY = 256 * MIB

/** Returns the parts of a hash of another system, or undefined if it is not supported or exceeds a bound. */
export function readForeignHash (hash: string): ForeignHash | undefined {
  const { read, problem } = examine(hash)
  return problem === undefined ? read : undefined
}

/**
 * Returns why a hash cannot be stored, as a clause that can follow `its password_hash `. It never quotes the hash.
 * Undefined if it can be stored.
 */
export function findHashProblem (hash: string): string | undefined {
  if (isBcryptHash(hash)) return undefined
  const { read, problem } = examine(hash)
  if (read !== undefined) return problem
  return `is not supported: use bcrypt with a cost of ${MIN_COST} to ${MAX_COST}, bcrypt_sha256, ` +
    `${FORMATS.map(({ name }) => name).join(', ')}, spelled as in docs/import-and-export.md`
}

/**
 * Returns a hash that costs as much to verify as this one, if another system made it. Null for bcrypt, whose cost is
 * made equal in another way.
 */
export function toDummy (hash: string): string | null {
  return isBcryptHash(hash) ? null : readForeignHash(hash)?.dummy ?? null
}

/** Keeps the costliest hash of each family. */
export function costliestOf (hashes: readonly string[]): string[] {
  const families = new Map<string, { hash: string, work: number }>()
  for (const hash of hashes) {
    const { family, work } = readForeignHash(hash) ?? {}
    if (family === undefined || work === undefined) continue
    if ((families.get(family)?.work ?? 0) < work) families.set(family, { hash, work })
  }
  return [...families.values()].map(({ hash }) => hash)
}

function examine (hash: string): { read?: ForeignHash, problem?: string } {
  for (const { name, unit, maxWork, read: readHash } of FORMATS) {
    const read = readHash(hash)
    if (read === undefined) continue
    const { memory, work } = read
    if (memory > MAX_MEMORY) {
      const problem = `needs ${Math.ceil(memory / MIB)} MiB of memory: ${name} may need at most ${MAX_MEMORY / MIB} MiB`
      return { read, problem }
    }
    if (work > maxWork) return { read, problem: `needs ${work} ${unit}: ${name} may need at most ${maxWork}` }
    return { read }
  }
  return {}
}
