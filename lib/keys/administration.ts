import type { Algorithm } from '../../schemas/algorithms.js'
import type { Actor } from '../../schemas/events.js'
import type { Clock } from '../time/clock.js'
import { LatchkeyError } from '../errors.js'
import { HOST, SYSTEM } from '../ledger/events.js'
import type { Follower } from '../store/change-follower.js'
import { addSigningKey, addVerifyOnlyKey } from './adding.js'
import type { KeyContext, SigningImport, VerifyOnlyRules } from './adding.js'
import { activate, insertSigner, prepareKey, promoteOrInsert, unretire } from './changes.js'
import type { KeyChange } from './changes.js'
import { findPending, isRotationDue, KEY_LEAD, stateOf } from './life.js'
import { eraseKey } from './erasure.js'
import { readKeys } from './rows.js'
import type { JwtKeyMaker, Keyring, KeyView } from './keyring.js'
import { sealKeyText, unsealKeyText } from './material.js'
import { RULE_RETENTION } from '../revocation/rule-index.js'
import type { Revocations } from '../revocation/revocations.js'
import { exclusive } from '../store/lock.js'

export type { VerifyOnlyRules } from './adding.js'

/**
 * What a rotation did. `rotated`: it made a key, which signs later or at once. `activated`: it let the pending key sign
 * at once. `pending`: it did nothing, because a key is pending.
 */
export type RotationOutcome = 'rotated' | 'activated' | 'pending'

/**
 * What an administrator can do with the keys. The audit trail names the administrator, `by`. When a promise resolves,
 * this process applies the change. Other processes apply it on their next request.
 */
export interface Keys {
  /** Returns all keys, oldest first. */
  list (): Promise<KeyView[]>
  /**
   * Makes the next signing key. It is published at once, and signs as soon as every verifier can have read it. If a key
   * is already pending, no other one is made. `immediately`: the new or the pending key signs at once.
   */
  rotate (options?: { immediately?: boolean, by?: Actor }): Promise<{ outcome: RotationOutcome, key: KeyView }>
  /**
   * Rotates if the signing key has reached the age that the option `keyRotation` allows. Only one of many processes
   * does it. Returns the new key.
   */
  rotateIfDue (): Promise<KeyView | undefined>
  /**
   * Erases a key and revokes every token that it signed. If it was the signing key, another one signs at once. Throws
   * `not_found`.
   */
  revoke (kid: string, by?: Actor): Promise<KeyView>
  /**
   * Imports a private key (PEM or JWK) to sign with. It is published and activated as in a rotation. Throws a KeyError.
   */
  importSigningKey (content: Buffer, options?: SigningImport): Promise<KeyView>
  /**
   * Imports a key (PEM or JWK) or an HS256 secret of an older system. The tokens of that system are then accepted.
   * Throws a KeyError, or a RangeError for an unknown scope.
   */
  importVerifyOnlyKey (content: Buffer, rules?: VerifyOnlyRules & { by?: Actor }): Promise<KeyView>
  /** Seals each key with the first secret, unless that secret has already sealed it. */
  reseal (by?: Actor): Promise<{ resealed: number, unchanged: number }>
  /**
   * Deletes the keys whose tokens have been dead for a day.
   * @param now - the time, if it is steady: see `steady-time.ts`.
   */
  purge (now: number): Promise<void>
}

interface Administration extends KeyContext {
  follower: Follower
  rotation: number | undefined
}

/**
 * Creates the administration of the keys.
 * @param rotation - the milliseconds for which a key signs. If undefined, it signs forever.
 * @param sealKeys - the first one seals, all of them unseal.
 */
export function createKeys ({
  keyring, maker, clock, revocations, follower, algorithm, rotation, sealKeys, catalogue
}: {
  keyring: Keyring
  maker: JwtKeyMaker
  clock: Clock
  revocations: Revocations
  follower: Follower
  algorithm: Algorithm
  rotation: number | undefined
  sealKeys: readonly [Buffer, ...Buffer[]]
  catalogue: Readonly<Record<string, string>>
}): Keys {
  async function change<T> (by: Actor, work: (step: KeyChange, now: number) => Promise<T>): Promise<T> {
    const result = await revocations.write([exclusive('keys')],
      write => work({ ...write, by, candidates: keyring.candidates }, write.now))
    follower.notice()
    await follower.refresh()
    return result
  }

  function view (kid: string): KeyView {
    const found = keyring.list(clock.now()).find(key => key.kid === kid)
    if (found === undefined) throw new LatchkeyError('not_found', { message: 'There is no such key.' })
    return found
  }

  const context: Administration = {
    keyring, maker, clock, follower, algorithm, rotation, sealKeys, catalogue, change, view
  }

  return {
    list: () => list(context),
    rotate: (options = {}) => rotate(context, options),
    rotateIfDue: () => rotateIfDue(context),
    revoke: (kid, by = HOST) => revoke(context, kid, by),
    importSigningKey: (content, options = {}) => addSigningKey(context, content, options),
    importVerifyOnlyKey: (content, rules = {}) => addVerifyOnlyKey(context, content, rules),
    reseal: (by = HOST) => reseal(context, by),
    purge: now => purge(context, now)
  }
}

async function list ({ follower, keyring, clock }: Administration): Promise<KeyView[]> {
  await follower.refresh()
  return keyring.list(clock.now())
}

async function rotate (
  { keyring, clock, algorithm, sealKeys, change, view }: Administration,
  { immediately = false, by = HOST }: { immediately?: boolean, by?: Actor }
): Promise<{ outcome: RotationOutcome, key: KeyView }> {
  const spare = await prepareKey(algorithm, sealKeys[0], clock.now())
  const { outcome, kid } = await change<{ outcome: RotationOutcome, kid: string }>(by, async (step, now) => {
    const pending = findPending(keyring.candidates(await readKeys(step.trx)), algorithm, now)
    if (pending === undefined) {
      await insertSigner(step, spare, { activatesAt: immediately ? now : now + KEY_LEAD, imported: false })
      return { outcome: 'rotated', kid: spare.kid }
    }
    if (immediately) await activate(step, pending, now)
    return { outcome: immediately ? 'activated' : 'pending', kid: pending.kid }
  })
  return { outcome, key: view(kid) }
}

async function rotateIfDue (
  { keyring, clock, follower, algorithm, rotation, sealKeys, change, view }: Administration
): Promise<KeyView | undefined> {
  await follower.refresh()
  if (!keyring.isRotationDue(rotation, clock.now())) return undefined
  const spare = await prepareKey(algorithm, sealKeys[0], clock.now())
  const isDone = await change(SYSTEM, async (step, now) => {
    const candidates = keyring.candidates(await readKeys(step.trx))
    if (!isRotationDue(candidates, { algorithm, rotation, now })) return false
    await insertSigner(step, spare, { activatesAt: now + KEY_LEAD, imported: false })
    return true
  })
  return isDone ? view(spare.kid) : undefined
}

async function revoke (context: Administration, kid: string, by: Actor): Promise<KeyView> {
  const { keyring, clock, algorithm, sealKeys, change, view } = context
  const spare = await prepareKey(algorithm, sealKeys[0], clock.now())
  const before = (await list(context)).find(key => key.kid === kid)
  const wasDeleted = await change(by, async (step, now) => {
    const { trx, record } = step
    const row = (await readKeys(trx)).find(key => key.kid === kid)
    if (row === undefined || row.revokedAt !== null) return false
    await eraseKey(trx, row, now)
    if (stateOf(row, now) === 'pending') await unretire(trx, row)
    await record({ type: 'key_revoked', actor: by, subject: kid, details: { algorithm: row.algorithm } })
    // A new key under a wrong secret would make that secret look right.
    if (!keyring.opensNone(await readKeys(trx))) await promoteOrInsert(step, spare, { algorithm, now })
    return row.isNameless
  })
  return wasDeleted && before !== undefined
    ? { ...before, state: 'revoked', problem: null, signs: false, revokedAt: clock.now() }
    : view(kid)
}

async function reseal (
  { sealKeys, change }: Administration, by: Actor
): Promise<{ resealed: number, unchanged: number }> {
  return await change(by, async ({ trx, record }) => {
    const counts = { resealed: 0, unchanged: 0 }
    for (const row of await readKeys(trx)) {
      const unsealed = row.revokedAt === null ? unsealKeyText(sealKeys, row) : undefined
      if (unsealed === undefined) continue
      if (unsealed.isFirst) {
        counts.unchanged++
      } else {
        const sealed = sealKeyText(sealKeys[0], unsealed.text, row)
        await trx.updateTable('latchkey_keys').set({ sealed }).where('kid', '=', row.kid).execute()
        counts.resealed++
      }
    }
    if (counts.resealed > 0) {
      await record({ type: 'keys_resealed', actor: by, details: { count: counts.resealed } })
    }
    return counts
  })
}

async function purge ({ keyring, change }: Administration, now: number): Promise<void> {
  function isOver ({ expiresAt }: Pick<KeyView, 'expiresAt'>): boolean {
    return expiresAt !== null && expiresAt < now - RULE_RETENTION
  }
  if (!keyring.list(now).some(isOver)) return
  await change(SYSTEM, ({ trx }) =>
    trx.deleteFrom('latchkey_keys').where('expires_at', '<', now - RULE_RETENTION).execute()
  )
}
