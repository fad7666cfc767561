import type { Selectable } from 'kysely'
import { ALGORITHMS } from '../../schemas/algorithms.js'
import { verifies } from './life.js'
import type { KeyLife } from './life.js'
import { unsealKeyText } from './material.js'
import { isSealed } from './secrets.js'
import { isMoment, toMoment, toNullableText, toText } from '../store/columns.js'
import type { KeysTable, Queryable } from '../store/tables.js'

/** A row of the keys with its life. A value of the wrong type is empty here, and the row counts as damaged. */
export interface KeyRow extends Selectable<KeysTable>, KeyLife {
  isDamaged: boolean
  /** Its stored `kid` is not text, so no token can name it. Then `kid` holds a description. */
  isNameless: boolean
}

/** Reads all keys, oldest first. */
export async function readKeys (db: Queryable): Promise<KeyRow[]> {
  const rows = await db.selectFrom('latchkey_keys').selectAll().orderBy('created_at').orderBy('kid').execute()
  return rows.map(toKeyRow)
}

function toKeyRow (row: Selectable<KeysTable>): KeyRow {
  const stored: Record<keyof KeysTable, unknown> = row
  const isNameless = typeof stored.kid !== 'string'
  const times = ['activates_at', 'retires_at', 'expires_at', 'revoked_at'] as const
  const texts = ['issuer', 'audience', 'scope', 'leniency'] as const
  const moment = (name: typeof times[number]): number | null => isMoment(stored[name]) ? stored[name] : null
  const [activatesAt, retiresAt, expiresAt, revokedAt] = times.map(moment) as [
    number | null,
    number | null,
    number | null,
    number | null
  ]
  return {
    kid: isNameless ? describeKid(stored.kid) : row.kid,
    algorithm: toText(stored.algorithm),
    sealed: toText(stored.sealed),
    created_at: toMoment(stored.created_at),
    activates_at: activatesAt,
    retires_at: retiresAt,
    expires_at: expiresAt,
    revoked_at: revokedAt,
    issuer: toNullableText(stored.issuer),
    audience: toNullableText(stored.audience),
    scope: toNullableText(stored.scope),
    leniency: toNullableText(stored.leniency),
    activatesAt,
    retiresAt,
    expiresAt,
    revokedAt,
    isNameless,
    isDamaged: isNameless || !isMoment(stored.created_at) ||
      !(ALGORITHMS as readonly unknown[]).includes(stored.algorithm) ||
      times.some(name => stored[name] !== null && !isMoment(stored[name])) ||
      texts.some(name => stored[name] !== null && typeof stored[name] !== 'string')
  }
}

function describeKid (kid: unknown): string {
  return Buffer.isBuffer(kid) ? `x'${kid.toString('hex')}'` : 'null'
}

/** The reverse of `describeKid`. */
export function toStoredKid (described: string): Buffer | null {
  return described === 'null' ? null : Buffer.from(described.slice(2, -1), 'hex')
}

/** Whether the row can be a key at all, opened or not. It can if it has the form of the rows that we write. */
export function isSound (row: KeyRow): boolean {
  return !row.isDamaged && (row.revokedAt !== null || isSealed(row.sealed))
}

/**
 * Judges by the live keys whether the secrets of this process are those of the store. `right`: at least one key opens.
 * `wrong`: none opens. `unknown`: there is no live key.
 */
export function judgeSecrets (
  rows: readonly KeyRow[],
  sealKeys: readonly Buffer[],
  now: number
): 'right' | 'wrong' | 'unknown' {
  const living = rows.filter(row => isSound(row) && verifies(row, now))
  if (living.length === 0) return 'unknown'
  return living.some(row => unsealKeyText(sealKeys, row) !== undefined) ? 'right' : 'wrong'
}
