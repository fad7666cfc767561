import type { Algorithm } from '../../schemas/algorithms.js'
import type { Actor } from '../../schemas/events.js'
import type { Clock } from '../time/clock.js'
import { HOST } from '../ledger/events.js'
import { createId } from '../identity/ids.js'
import { insertSigner, sealSigningKey } from './changes.js'
import type { KeyChange } from './changes.js'
import { assertKid, KeyError, parseSigningKey, parseVerifyOnlyKey } from './import.js'
import type { KeyHints, ParsedKey } from './import.js'
import { formatLeniency } from './leniency.js'
import type { Leniency } from './leniency.js'
import { findPending, KEY_LEAD, stateOf, verifies } from './life.js'
import { readKeys } from './rows.js'
import type { KeyRow } from './rows.js'
import type { JwtKeyMaker, Keyring, KeyView } from './keyring.js'
import { sealKeyText, toSigningKey, toVerifyOnlyKey, unsealKeyText } from './material.js'
import { assertKnownScopes, formatScope } from '../identity/scopes.js'

// Adds the keys that an administrator imports.

/** A token that names no key is tried against each key that only verifies, so there must not be many. */
const MAX_VERIFY_ONLY = 16

/** How long tokens of an older system are accepted unless the import sets another time, in milliseconds. */
const DEFAULT_UNTIL = 90 * 24 * 60 * 60 * 1000

/** Restrictions on the tokens of an older system, for a key that is imported to verify only. */
export interface VerifyOnlyRules extends KeyHints, Leniency {
  /** The `kid` that the tokens name. Default: the JWK's. Without either, the key is only for tokens that name none. */
  kid?: string
  /** The `iss` that they must have. */
  issuer?: string
  /** The `aud` that they must have. Default: if they have one, it must be one of ours. */
  audience?: string
  /** The scopes that they may carry. Default: the app's own, without the built-in ones. */
  scopes?: readonly string[]
  /** Milliseconds until the key is removed. Default: 90 days. */
  until?: number
  /**
   * If the key was imported before, give it these settings. Without `until`, it expires when it did before. Default:
   * the import fails and the key does not change.
   */
  update?: boolean
}

/** The columns that a second import can change. */
const SETTINGS = ['algorithm', 'issuer', 'audience', 'scope', 'leniency'] as const

/** Claims that cannot be the id of a user. Their value differs for each token, or is the same for all users. */
const NOT_SUBJECTS = ['iss', 'aud', 'exp', 'nbf', 'iat', 'jti', 'scope', 'scopes']

/** Options of an import to sign. */
export interface SigningImport extends KeyHints {
  kid?: string
  immediately?: boolean
  by?: Actor
}

/** What the functions that change keys share. */
export interface KeyContext {
  keyring: Keyring
  /** Builds an imported key before it is stored, so that an unusable key never gets into the database. */
  maker: JwtKeyMaker
  clock: Clock
  algorithm: Algorithm
  /** The first one seals, all of them unseal. */
  sealKeys: readonly [Buffer, ...Buffer[]]
  catalogue: Readonly<Record<string, string>>
  /**
   * Runs a transaction on the keys. When its promise resolves, this process applies the change. If the keys cannot be
   * read, it accepts nothing until they can.
   */
  change<T> (by: Actor, work: (step: KeyChange, now: number) => Promise<T>): Promise<T>
  view (kid: string): KeyView
}

/** Adds an imported key to sign with. Throws a KeyError. */
export async function addSigningKey (
  context: KeyContext,
  content: Buffer,
  { kid: givenKid, immediately = false, by = HOST, ...hints }: SigningImport
): Promise<KeyView> {
  const { keyring, maker, clock, algorithm, sealKeys } = context
  const parsed = parseSigningKey(content, hints)
  if (!parsed.algorithms.includes(algorithm)) {
    const its = parsed.algorithms.join(' or ')
    throw new KeyError(
      'invalid_key',
      `The key is for ${its}, but the service signs with ${algorithm}: ` +
      `set the option algorithm (LATCHKEY_ALGORITHM) to ${its}, or give a key for ${algorithm}`
    )
  }
  const kid = nameOf(parsed, givenKid, clock)
  await assertWorks(() => maker.toJwtKey(toSigningKey({ kid, algorithm }, parsed.text)))
  const key = sealSigningKey({ kid, algorithm, text: parsed.text }, sealKeys[0], clock.now())
  return await add(context, by, {
    kid,
    async work (step, now) {
      const keys = await readKeys(step.trx)
      const obstacle = findObstacle(keys, sealKeys, { kid, identity: parsed.identity })
      if (obstacle !== undefined) return obstacle
      const pending = findPending(keyring.candidates(keys), algorithm, now)
      if (pending !== undefined) {
        return new KeyError(
          'pending_key',
          `The key ${pending.kid} is pending: wait until it signs, ` +
          'let it sign now with `keys rotate --now`, or revoke it'
        )
      }
      await insertSigner(step, key, { activatesAt: immediately ? now : now + KEY_LEAD, imported: true })
      return undefined
    }
  })
}

/** Adds an imported key to verify only. Throws a KeyError, or a RangeError for an unknown scope or a bad rule. */
export async function addVerifyOnlyKey (
  context: KeyContext, content: Buffer, rules: VerifyOnlyRules & { by?: Actor }
): Promise<KeyView> {
  const { maker, clock, sealKeys, catalogue } = context
  const { kid: givenKid, issuer, audience, scopes, until = DEFAULT_UNTIL, update = false, by = HOST } = rules
  if (scopes !== undefined) assertKnownScopes(scopes, catalogue)
  assertLeniency(rules)
  const parsed = parseVerifyOnlyKey(content, rules)
  const kid = nameOf(parsed, givenKid, clock)
  const row = {
    kid,
    algorithm: parsed.algorithms[0],
    activates_at: null,
    issuer: issuer ?? null,
    audience: audience ?? null,
    scope: scopes === undefined ? null : formatScope(scopes),
    leniency: formatLeniency(rules)
  }
  await assertWorks(() => maker.toVerifyOnlyJwtKey(toVerifyOnlyKey(row, parsed.text)))
  const sealed = sealKeyText(sealKeys[0], parsed.text, row)
  let stored = kid
  const obstacle = await context.change(by, async function store ({ trx, revoke, record }, now) {
    const keys = await readKeys(trx)
    const same = findSame(keys, sealKeys, parsed.identity)
    if (same !== undefined && same.activatesAt === null && verifies(same, now)) {
      const end = rules.until === undefined ? same.expiresAt ?? now + until : now + until
      const problem = findDifference(same, { ...row, kid: givenKid ?? parsed.kid ?? same.kid }, update)
      if (problem !== undefined) return problem
      stored = same.kid
      // A setting that is not given stays: an update of the end must not lift a restriction.
      const changed = {
        ...row,
        kid: same.kid,
        issuer: row.issuer ?? same.issuer,
        audience: row.audience ?? same.audience,
        scope: row.scope ?? same.scope,
        leniency: row.leniency ?? same.leniency
      }
      await trx.updateTable('latchkey_keys')
        .set({ ...changed, sealed: sealKeyText(sealKeys[0], parsed.text, changed), expires_at: end })
        .where('kid', '=', same.kid).execute()
      await revoke.prolongUsers(end)
      await record({ type: 'key_updated', actor: by, subject: same.kid })
      return undefined
    }
    const obstacle = findObstacle(keys, sealKeys, { kid, identity: parsed.identity }) ?? findExcess(keys, now)
    if (obstacle !== undefined) return obstacle
    await trx.insertInto('latchkey_keys').values({
      ...row, sealed, created_at: now, retires_at: null, expires_at: now + until, revoked_at: null
    }).execute()
    // Users who were logged out everywhere must not come back with a token of the older system.
    await revoke.prolongUsers(now + until)
    await record({
      type: 'key_added',
      actor: by,
      subject: kid,
      details: { algorithm: row.algorithm, verifyOnly: true, imported: true }
    })
    return undefined
  })
  if (obstacle !== undefined) throw obstacle
  return context.view(stored)
}

function findExcess (keys: readonly KeyRow[], now: number): KeyError | undefined {
  if (keys.filter(key => !key.isDamaged && stateOf(key, now) === 'verify-only').length < MAX_VERIFY_ONLY) {
    return undefined
  }
  return new KeyError(
    'too_many_keys',
    `There are already ${MAX_VERIFY_ONLY} keys that only verify, and no more are allowed: revoke one`
  )
}

/** Returns why a second import of a key cannot change it, or undefined if it can. */
function findDifference (
  same: KeyRow, wanted: Pick<KeyRow, 'kid' | typeof SETTINGS[number]>, update: boolean
): KeyError | undefined {
  if (update && wanted.kid === same.kid) return undefined
  if (wanted.kid !== same.kid) {
    return new KeyError(
      'duplicate_key', `This key already exists as ${same.kid}: there is nothing to do; the kid of a key never changes`
    )
  }
  const other = SETTINGS.filter(name => same[name] !== wanted[name])
  return new KeyError('duplicate_key', other.length === 0
    ? `This key already exists as ${same.kid}: there is nothing to do`
    : `This key already exists as ${same.kid}, with other settings (${other.join(', ')}): ` +
      'to change them, import it again with --update')
}

const CLAIM_NAME = /^[\x21-\x7E]{1,128}$/

/** Throws a RangeError for a rule that can accept nothing or too much. */
function assertLeniency ({ subjectClaim, maxAge }: Leniency): void {
  if (subjectClaim !== undefined && (!CLAIM_NAME.test(subjectClaim) || NOT_SUBJECTS.includes(subjectClaim))) {
    throw new RangeError(
      'subjectClaim (--subject-claim) must be the name of the claim that holds the id of the user, for example user_id'
    )
  }
  if (maxAge !== undefined && !(Number.isSafeInteger(maxAge) && maxAge >= 1_000)) {
    throw new RangeError('maxAge (--max-age) must be a duration of a second or more, for example 30d')
  }
}

function nameOf (parsed: ParsedKey, kid: string | undefined, clock: Clock): string {
  const name = kid ?? parsed.kid ?? createId(clock.now())
  assertKid(name)
  return name
}

/** Throws a KeyError if a parsed key does not work, because the library that uses it has additional rules. */
async function assertWorks (build: () => Promise<unknown>): Promise<void> {
  try {
    await build()
  } catch (cause) {
    throw new KeyError(
      'invalid_key',
      'The key cannot be imported: it cannot sign or verify a token; export it again, or make another one',
      cause
    )
  }
}

/** Runs `work` in a transaction, and throws the error that it returns after the transaction has ended. */
async function add (context: KeyContext, by: Actor, { kid, work }: {
  kid: string
  work: (step: KeyChange, now: number) => Promise<KeyError | undefined>
}): Promise<KeyView> {
  const obstacle = await context.change(by, work)
  if (obstacle !== undefined) throw obstacle
  return context.view(kid)
}

/** Returns why a key cannot be added, or undefined. */
function findObstacle (
  keys: KeyRow[], sealKeys: readonly Buffer[], { kid, identity }: { kid: string, identity: string }
): KeyError | undefined {
  if (keys.some(key => key.kid === kid)) {
    return new KeyError(
      'duplicate_key',
      `A key ${kid} exists already, or existed until recently: give this one another kid`
    )
  }
  const same = findSame(keys, sealKeys, identity)
  if (same === undefined) return undefined
  return new KeyError('duplicate_key', `This key already exists as ${same.kid}: there is nothing to do`)
}

function findSame (keys: readonly KeyRow[], sealKeys: readonly Buffer[], identity: string): KeyRow | undefined {
  return keys.find(key => identityOf(key, sealKeys) === identity)
}

function identityOf (row: KeyRow, sealKeys: readonly Buffer[]): string | undefined {
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
