import type { Transaction } from 'kysely'
import type { Algorithm } from '../../schemas/algorithms.js'
import type { Actor } from '../../schemas/events.js'
import { createId } from '../identity/ids.js'
import { expiryOf, findPending, findSigner } from './life.js'
import { readKeys } from './rows.js'
import type { KeyRow } from './rows.js'
import { generateKeyText, sealKeyText } from './material.js'
import type { Write } from '../revocation/writing.js'
import { readMeta } from '../store/meta.js'
import type { KeysTable, Tables } from '../store/tables.js'

// Steps of the transactions that change keys. Each decides on the state of the store at that moment. If ten processes
// want to rotate at once, nine find that it has been done.

/** A key that is ready to be inserted. It is made before the transaction, which must not wait for it. */
export type PreparedKey = Pick<KeysTable, 'kid' | 'algorithm' | 'sealed' | 'created_at'>

/** Makes a signing key. `now`: milliseconds. */
export async function prepareKey (algorithm: Algorithm, sealKey: Buffer, now: number): Promise<PreparedKey> {
  return sealSigningKey({ kid: createId(now), algorithm, text: await generateKeyText(algorithm) }, sealKey, now)
}

/** Seals a signing key. */
export function sealSigningKey (
  { kid, algorithm, text }: { kid: string, algorithm: Algorithm, text: string }, sealKey: Buffer, now: number
): PreparedKey {
  const sealed = sealKeyText(sealKey, text, {
    kid,
    algorithm,
    activates_at: now,
    issuer: null,
    audience: null,
    scope: null,
    leniency: null
  })
  return { kid, algorithm, sealed, created_at: now }
}

/** The transaction that a step belongs to, and the actor that the audit trail names for it. */
export interface KeyChange extends Write {
  by: Actor
  /** Returns the keys that may be chosen to sign: see `Keyring.candidates`. */
  candidates: (keys: readonly KeyRow[]) => KeyRow[]
}

/**
 * Inserts a key that signs from `activatesAt` on, and retires the previous ones at that moment. `imported`: whether it
 * comes from elsewhere.
 */
export async function insertSigner (
  { trx, record, by }: KeyChange, key: PreparedKey, { activatesAt, imported }: {
    activatesAt: number
    imported: boolean
  }
): Promise<void> {
  await trx
    .insertInto('latchkey_keys')
    .values({
      ...key,
      activates_at: activatesAt,
      retires_at: null,
      expires_at: null,
      revoked_at: null,
      issuer: null,
      audience: null,
      scope: null,
      leniency: null
    })
    .execute()
  await retireOthers(trx, key, activatesAt)
  await record({
    type: 'key_added',
    actor: by,
    subject: key.kid,
    details: { algorithm: key.algorithm, activatesAt: new Date(activatesAt).toISOString(), imported }
  })
}

/** Activates a pending key, so that it signs at once. */
export async function activate (
  { trx, record, by }: KeyChange,
  key: Pick<KeysTable, 'kid' | 'algorithm'>,
  now: number
): Promise<void> {
  await trx.updateTable('latchkey_keys').set({ activates_at: now }).where('kid', '=', key.kid).execute()
  await retireOthers(trx, key, now)
  await record({ type: 'key_activated', actor: by, subject: key.kid })
}

async function retireOthers (
  trx: Transaction<Tables>,
  { kid, algorithm }: Pick<KeysTable, 'kid' | 'algorithm'>,
  at: number
): Promise<void> {
  await trx.updateTable('latchkey_keys')
    .set({ retires_at: at, expires_at: expiryOf(at, await readMeta(trx, 'access_token_ttl')) })
    .where('algorithm', '=', algorithm).where('kid', '!=', kid)
    .where('activates_at', '<=', at).where('revoked_at', 'is', null)
    .where(eb => eb.or([eb('retires_at', 'is', null), eb('retires_at', '>', at)]))
    .execute()
}

/** Makes sure that a key signs. If none does, it activates the pending key, or inserts `spare` if none is pending. */
export async function promoteOrInsert (
  change: KeyChange, spare: PreparedKey, { algorithm, now }: { algorithm: Algorithm, now: number }
): Promise<void> {
  const keys = change.candidates(await readKeys(change.trx))
  if (findSigner(keys, algorithm, now) !== undefined) return
  const pending = findPending(keys, algorithm, now)
  if (pending !== undefined) await activate(change, pending, now)
  else await insertSigner(change, spare, { activatesAt: now, imported: false })
}

/** Cancels the retirement of a key whose successor was revoked before it signed. */
export async function unretire (trx: Transaction<Tables>, successor: KeyRow): Promise<void> {
  await trx
    .updateTable('latchkey_keys')
    .set({ retires_at: null, expires_at: null })
    .where('algorithm', '=', successor.algorithm)
    .where('retires_at', '=', successor.activates_at)
    .where('revoked_at', 'is', null)
    .execute()
}

/** Keeps the keys that are about to retire for longer, if access tokens have been configured to live longer since. */
export async function lengthenRetirement (trx: Transaction<Tables>, now: number): Promise<void> {
  const accessTokenTtl = await readMeta(trx, 'access_token_ttl')
  for (const { kid, retiresAt, expiresAt } of await readKeys(trx)) {
    if (retiresAt === null || expiresAt === null || retiresAt <= now) continue
    const needed = expiryOf(retiresAt, accessTokenTtl)
    if (expiresAt < needed) {
      await trx.updateTable('latchkey_keys').set({ expires_at: needed }).where('kid', '=', kid).execute()
    }
  }
}
