import type { Algorithm } from '../../schemas/algorithms.js'
import type { Actor } from '../../schemas/events.js'
import type { Clock } from '../time/clock.js'
import { LatchkeyError } from '../errors.js'
import { HOST, SYSTEM } from '../ledger/events.js'
import type { Follower } from '../store/change-follower.js'
import { createId } from '../identity/ids.js'
import { activate, insertSigner, prepareKey, promoteOrInsert, sealSigningKey, unretire } from './changes.js'
import type { KeyChange } from './changes.js'
import { assertKid, KeyError, parseSigningKey, parseVerifyOnlyKey } from './import.js'
import type { KeyHints, ParsedKey } from './import.js'
import { findPending, isRotationDue, KEY_LEAD, stateOf } from './life.js'
import { eraseKey } from './erasure.js'
import { readKeys } from './rows.js'
import type { KeyRow } from './rows.js'
import type { JwtKeyMaker, Keyring, KeyView } from './keyring.js'
import { sealKeyText, toSigningKey, toVerifyOnlyKey, unsealKeyText } from './material.js'
import { RULE_RETENTION } from '../revocation/rule-index.js'
import type { Revocations } from '../revocation/revocations.js'
import { assertKnownScopes, formatScope } from '../identity/scopes.js'

/** A token that names no key is tried against each that only verifies: there must not be many. */
const MAX_VERIFY_ONLY = 16

/** How long tokens of an older system are honoured unless the import says otherwise, in milliseconds. */
const DEFAULT_UNTIL = 90 * 24 * 60 * 60 * 1000

/** What a rotation did: made a key that signs later or at once, let the pending one sign at once, or nothing, because one is pending. */
export type RotationOutcome = 'rotated' | 'activated' | 'pending'

/** What an import to verify only may say of the older system's tokens. */
export interface VerifyOnlyRules extends KeyHints {
  /** The `kid` that the tokens name. Default: the JWK's; without either only tokens that name none are of this key. */
  kid?: string
  /** The `iss` that they must have. */
  issuer?: string
  /** The `aud` that they must have. Default: where they have one, it must be one of ours. */
  audience?: string
  /** The scopes that they may carry. Default: those of the app's own, none of the built-in ones. */
  scopes?: readonly string[]
  /** Milliseconds until the key is removed. Default: 90 days. */
  until?: number
}

/** What an administrator, `by` whom the trail says, does to the keys. Every change is in force here when its promise resolves, and at other processes on their next request. */
export interface Keys {
  /** All keys, the oldest first. */
  list (): Promise<KeyView[]>
  /**
   * Makes the next signing key, which is published at once and signs as soon as every verifier can have read it. While one is
   * pending it makes none. `immediately`: it signs at once, or the pending one does.
   */
  rotate (options?: { immediately?: boolean, by?: Actor }): Promise<{ outcome: RotationOutcome, key: KeyView }>
  /** Rotates where the signing key is as old as the option `keyRotation` allows; of many processes one does. Returns the new key. */
  rotateIfDue (): Promise<KeyView | undefined>
  /** Kills a key, with every token that it signed, and erases it. Where it signed, another one does at once. Throws `not_found`. */
  revoke (kid: string, by?: Actor): Promise<KeyView>
  /** Takes a private key (PEM or JWK) to sign with, as a rotation does with one of its own. Throws a KeyError. */
  importSigningKey (content: Buffer, options?: KeyHints & { kid?: string, immediately?: boolean, by?: Actor }): Promise<KeyView>
  /** Takes a key (PEM or JWK) or an HS256 secret of an older system, whose tokens are then honoured. Throws a KeyError, or a RangeError for an unknown scope. */
  importVerifyOnlyKey (content: Buffer, rules?: VerifyOnlyRules & { by?: Actor }): Promise<KeyView>
  /** Seals each key with the first secret that is not sealed with it yet. */
  reseal (by?: Actor): Promise<{ resealed: number, unchanged: number }>
  /** Deletes the keys whose tokens have been dead for a day. */
  purge (): Promise<void>
}

/**
 * Creates the administration of the keys.
 * @param rotation - milliseconds that a key signs for; undefined: for good.
 * @param sealKeys - the first one seals, all of them unseal.
 * @param maker - builds an imported key before it is stored, so that an unusable key never gets into the database.
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
  /** A transaction on the keys; when its promise resolves, what it did is in force here. Should the reading fail, nothing is accepted until it works. */
  async function change<T> (by: Actor, work: (step: KeyChange, now: number) => Promise<T>): Promise<T> {
    const result = await revocations.write(write => work({ ...write, by, candidates: keyring.candidates }, write.now))
    follower.notice()
    await follower.refresh()
    return result
  }

  async function list (): Promise<KeyView[]> {
    await follower.refresh()
    return keyring.list(clock.now())
  }

  function view (kid: string): KeyView {
    const found = keyring.list(clock.now()).find(key => key.kid === kid)
    if (found === undefined) throw new LatchkeyError('not_found', { message: 'There is no such key.' })
    return found
  }

  /** Why a key cannot be added. Thrown outside the transaction. */
  function findObstacle (keys: KeyRow[], { kid, identity }: { kid: string, identity: string }): KeyError | undefined {
    if (keys.some(key => key.kid === kid)) return new KeyError('duplicate_key', `There is a key ${kid} already, or was until lately: give this one another kid`)
    const same = keys.find(key => identityOf(key) === identity)
    if (same !== undefined) return new KeyError('duplicate_key', `This very key is here already: it is ${same.kid}, and there is nothing to do`)
    return undefined
  }

  function identityOf (row: KeyRow): string | undefined {
    const unsealed = row.revokedAt === null ? unsealKeyText(sealKeys, row) : undefined
    if (unsealed === undefined) return undefined
    if (row.activates_at === null || row.algorithm === 'HS256') return unsealed.text
    try {
      return toSigningKey(row, unsealed.text).public.toString()
    } catch {
      // The row holds no key, so it cannot be the same key.
      return undefined
    }
  }

  /** Throws a KeyError if a parsed key does not work, because the library that uses it has additional rules. */
  async function assertWorks (build: () => Promise<unknown>): Promise<void> {
    try {
      await build()
    } catch (cause) {
      throw new KeyError(
        'invalid_key',
        'The key is not taken: it cannot sign or verify a token; export it again, or make another one',
        cause
      )
    }
  }

  /** Throws outside the transaction what was decided inside. */
  async function add (by: Actor, kid: string, work: (step: KeyChange, now: number) => Promise<KeyError | undefined>): Promise<KeyView> {
    const obstacle = await change(by, work)
    if (obstacle !== undefined) throw obstacle
    return view(kid)
  }

  function nameOf (parsed: ParsedKey, kid: string | undefined): string {
    const name = kid ?? parsed.kid ?? createId(clock.now())
    assertKid(name)
    return name
  }

  return {
    list,

    async rotate ({ immediately = false, by = HOST } = {}) {
      const spare = await prepareKey(algorithm, sealKeys[0], clock.now())
      const { outcome, kid } = await change<{ outcome: RotationOutcome, kid: string }>(by, async (step, now) => {
        const pending = findPending(keyring.candidates(await readKeys(step.trx)), algorithm, now)
        if (pending === undefined) await insertSigner(step, spare, { activatesAt: immediately ? now : now + KEY_LEAD, imported: false })
        else if (immediately) await activate(step, pending, now)
        return pending === undefined ? { outcome: 'rotated', kid: spare.kid } : { outcome: immediately ? 'activated' : 'pending', kid: pending.kid }
      })
      return { outcome, key: view(kid) }
    },

    async rotateIfDue () {
      await follower.refresh()
      if (!keyring.isRotationDue(rotation, clock.now())) return undefined
      const spare = await prepareKey(algorithm, sealKeys[0], clock.now())
      const isDone = await change(SYSTEM, async (step, now) => {
        if (!isRotationDue(keyring.candidates(await readKeys(step.trx)), { algorithm, rotation, now })) return false
        await insertSigner(step, spare, { activatesAt: now + KEY_LEAD, imported: false })
        return true
      })
      return isDone ? view(spare.kid) : undefined
    },

    async revoke (kid, by = HOST) {
      const spare = await prepareKey(algorithm, sealKeys[0], clock.now())
      const before = (await list()).find(key => key.kid === kid)
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
    },

    async importSigningKey (content, { kid: givenKid, immediately = false, by = HOST, ...hints } = {}) {
      const parsed = parseSigningKey(content, hints)
      if (!parsed.algorithms.includes(algorithm)) {
        const its = parsed.algorithms.join(' or ')
        throw new KeyError('invalid_key', `The key is for ${its}, and the service signs with ${algorithm}: set the option algorithm (LATCHKEY_ALGORITHM) to ${its}, or give a key for ${algorithm}`)
      }
      const kid = nameOf(parsed, givenKid)
      await assertWorks(() => maker.toJwtKey(toSigningKey({ kid, algorithm }, parsed.text)))
      const key = sealSigningKey({ kid, algorithm, text: parsed.text }, sealKeys[0], clock.now())
      return await add(by, kid, async (step, now) => {
        const keys = await readKeys(step.trx)
        const obstacle = findObstacle(keys, { kid, identity: parsed.identity })
        if (obstacle !== undefined) return obstacle
        const pending = findPending(keyring.candidates(keys), algorithm, now)
        if (pending !== undefined) return new KeyError('pending_key', `The key ${pending.kid} is pending: wait until it signs (\`keys rotate --now\` makes it), or revoke it`)
        await insertSigner(step, key, { activatesAt: immediately ? now : now + KEY_LEAD, imported: true })
        return undefined
      })
    },

    async importVerifyOnlyKey (content, { kid: givenKid, issuer = null, audience = null, scopes, until = DEFAULT_UNTIL, by = HOST, ...hints } = {}) {
      if (scopes !== undefined) assertKnownScopes(scopes, catalogue)
      const parsed = parseVerifyOnlyKey(content, hints)
      const kid = nameOf(parsed, givenKid)
      const row = { kid, algorithm: parsed.algorithms[0], activates_at: null, issuer, audience, scope: scopes === undefined ? null : formatScope(scopes) }
      await assertWorks(() => maker.toVerifyOnlyJwtKey(toVerifyOnlyKey(row, parsed.text)))
      const sealed = sealKeyText(sealKeys[0], parsed.text, row)
      return await add(by, kid, async ({ trx, revoke, record }, now) => {
        const keys = await readKeys(trx)
        const obstacle = findObstacle(keys, { kid, identity: parsed.identity })
        if (obstacle !== undefined) return obstacle
        if (keys.filter(key => !key.isDamaged && stateOf(key, now) === 'verify-only').length >= MAX_VERIFY_ONLY) {
          return new KeyError('too_many_keys', `There are ${MAX_VERIFY_ONLY} keys that only verify, and no more are taken: revoke one`)
        }
        await trx.insertInto('keys').values({ ...row, sealed, created_at: now, retires_at: null, expires_at: now + until, revoked_at: null }).execute()
        // Who was logged out everywhere must not come back with a token of the older system.
        await revoke.prolongUsers(now + until)
        await record({ type: 'key_added', actor: by, subject: kid, details: { algorithm: row.algorithm, verifyOnly: true, imported: true } })
        return undefined
      })
    },

    reseal: (by = HOST) => change(by, async ({ trx, record }) => {
      const counts = { resealed: 0, unchanged: 0 }
      for (const row of await readKeys(trx)) {
        const unsealed = row.revokedAt === null ? unsealKeyText(sealKeys, row) : undefined
        if (unsealed === undefined) continue
        if (unsealed.isFirst) {
          counts.unchanged++
        } else {
          await trx.updateTable('keys').set({ sealed: sealKeyText(sealKeys[0], unsealed.text, row) }).where('kid', '=', row.kid).execute()
          counts.resealed++
        }
      }
      if (counts.resealed > 0) await record({ type: 'keys_resealed', actor: by, details: { count: counts.resealed } })
      return counts
    }),

    async purge () {
      const isOver = ({ expiresAt }: Pick<KeyView, 'expiresAt'>): boolean => expiresAt !== null && expiresAt < clock.now() - RULE_RETENTION
      if (!keyring.list(clock.now()).some(isOver)) return
      await change(SYSTEM, ({ trx }, now) => trx.deleteFrom('keys').where('expires_at', '<', now - RULE_RETENTION).execute())
    }
  }
}
