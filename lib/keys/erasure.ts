import type { Transaction } from 'kysely'
import { expiryOf } from './life.js'
import { toStoredKid } from './rows.js'
import type { KeyRow } from './rows.js'
import { readMeta } from '../store/meta.js'
import type { Tables } from '../store/tables.js'

/**
 * Erases a key as part of a transaction. Its row stays until all of its tokens have expired, so that importing the same
 * key again does not revive them. A damaged row is repaired as far as possible. A row that no token can name is
 * deleted.
 */
export async function eraseKey (trx: Transaction<Tables>, row: KeyRow, now: number): Promise<void> {
  if (row.isNameless) {
    const kid = toStoredKid(row.kid)
    // Only SQLite can have such rows, and it compares blobs with blobs.
    await trx
      .deleteFrom('latchkey_keys')
      .where(eb => (kid === null ? eb('kid', 'is', null) : eb('kid', '=', kid as unknown as string)))
      .execute()
    return
  }
  const isVerifyOnly = row.activatesAt === null && !row.isDamaged
  await trx.updateTable('latchkey_keys').set({
    sealed: '',
    revoked_at: now,
    expires_at: isVerifyOnly ? row.expiresAt : expiryOf(now, await readMeta(trx, 'access_token_ttl')),
    created_at: row.created_at,
    activates_at: row.activates_at,
    retires_at: row.retires_at,
    issuer: row.issuer,
    audience: row.audience,
    scope: row.scope,
    leniency: row.leniency
  }).where('kid', '=', row.kid).execute()
}
