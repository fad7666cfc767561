import type { Selectable } from 'kysely'
import type { Algorithm } from '../schemas/algorithms.js'
import type { Clock } from './clock.js'
import { SYSTEM } from './events.js'
import type { Follower } from './follower.js'
import { lengthenRetirement, prepareKey, promoteOrInsert } from './key-changes.js'
import { findSigner, isPublished, isRotationDue, stateOf, verifies } from './key-life.js'
import type { KeyLife, KeyState } from './key-life.js'
import { lifeOf, toSigningKey, toVerifyOnlyKey, unsealKeyText } from './keys.js'
import type { PublicJwk, SigningKey, VerifyOnlyKey } from './keys.js'
import type { Revocations } from './revocations.js'
import { parseScope } from './scopes.js'
import type { Store } from './store/store.js'
import type { KeysTable } from './store/tables.js'

/** A key of ours with its algorithm, type, issuer and audience pinned: what @fastify/jwt makes of a `SigningKey`. */
export interface JwtKey {
  readonly kid: string
  readonly algorithm: Algorithm
  readonly jwk: PublicJwk | null
  sign (claims: object): string
  /** The same with the type of a status list, which no verifier of access tokens takes: RFC 8725 section 3.11. */
  signStatusList (claims: object): string
  /** The payload of a token whose signature, `alg`, `typ`, `iss` and `aud` are right and whose claims are all there. Throws otherwise. */
  verify (token: string): unknown
}

/** A key of an older system with its algorithm pinned, and nothing else. */
export interface VerifyOnlyJwtKey {
  readonly key: VerifyOnlyKey
  /** The payload of a token whose signature and `alg` are right. Throws otherwise. */
  verify (token: string): unknown
}

/** What the keyring is made with: the framework's JWT library, which lib/ does not know. */
export interface JwtKeyMaker {
  toJwtKey (key: SigningKey): Promise<JwtKey>
  toVerifyOnlyJwtKey (key: VerifyOnlyKey): Promise<VerifyOnlyJwtKey>
}

/** A key, and when it dies: milliseconds, or Infinity. */
export interface Held<Key> {
  key: Key
  expiresAt: number
}

/** A key as its administrator may see it: never the key itself. */
export interface KeyView extends KeyLife {
  kid: string
  algorithm: Algorithm
  state: KeyState
  /** Whether this process signs with it. */
  signs: boolean
  /** Milliseconds. */
  createdAt: number
  issuer: string | null
  audience: string | null
  /** Of a key that only verifies: the scopes that its tokens may carry. Null: all of the app's own. */
  scopes: readonly string[] | null
}

/** The keys of the store, opened and in memory. Call `Revocations.refresh` first: it brings them up to date too. */
export interface Keyring {
  /** The key of ours with this `kid`, where its tokens are to be believed. */
  find (kid: string, now: number): Held<JwtKey> | undefined
  /** The keys of older systems that a token of this algorithm may be of: the one that it names, or each where it names none. */
  findVerifyOnly (algorithm: string, kid: string | undefined, now: number): Array<Held<VerifyOnlyJwtKey>>
  /** The key that signs now. Throws where there is none that the secrets of this process open. */
  signer (now: number): JwtKey
  /** The public keys: RFC 7517 section 5. */
  jwks (now: number): PublicJwk[]
  /** All keys, the oldest first. */
  list (now: number): KeyView[]
  /** Whether the signing key is to be replaced. `rotation`: milliseconds that a key signs for; undefined: for good. */
  isRotationDue (rotation: number | undefined, now: number): boolean
  /** Registers what must forget what the keys before have verified. */
  onChange (listener: () => void): void
}

type Row = Selectable<KeysTable>

interface Entry extends KeyLife {
  row: Row
  algorithm: string
  jwtKey: JwtKey | undefined
  verifyOnly: VerifyOnlyJwtKey | undefined
}

/**
 * Opens the keys in the store, after making one for `algorithm` where none signs, and keeps them level with it. They live
 * beside the revocations on purpose: who loses the store loses both, and no token comes back because its revocation is gone.
 * @param sealKeys - the first one seals, all of them unseal.
 * @param log - told of a key that another process made and that our secrets do not open.
 * @throws Error that names the option `secret` where a key cannot be unsealed.
 */
export async function openKeyring ({ store, clock, revocations, follower, algorithm, sealKeys, maker, log }: {
  store: Store
  clock: Clock
  revocations: Revocations
  follower: Follower
  algorithm: Algorithm
  sealKeys: readonly [Buffer, ...Buffer[]]
  maker: JwtKeyMaker
  log: { warn (details: object, message: string): void }
}): Promise<Keyring> {
  let entries: Entry[] = []
  let byKid = new Map<string, Entry>()
  const listeners: Array<() => void> = []
  const reported = new Set<string>()

  const read = (): Promise<Row[]> => store.read(db => db.selectFrom('keys').selectAll().orderBy('created_at').orderBy('kid').execute())

  async function open (row: Row, refuse: (row: Row) => void): Promise<Pick<Entry, 'jwtKey' | 'verifyOnly'>> {
    const nothing = { jwtKey: undefined, verifyOnly: undefined }
    if (!verifies(lifeOf(row), clock.now())) return nothing
    const known = byKid.get(row.kid)
    // What is sealed anew, perhaps with a secret that we do not have yet, is the same key.
    const isKnown = known?.row.created_at === row.created_at && known.algorithm === row.algorithm
    if (isKnown && (known.jwtKey !== undefined || known.verifyOnly !== undefined)) return known
    const unsealed = unsealKeyText(sealKeys, row)
    if (unsealed === undefined) {
      refuse(row)
      return nothing
    }
    return row.activates_at === null
      ? { ...nothing, verifyOnly: await maker.toVerifyOnlyJwtKey(toVerifyOnlyKey(row, unsealed.text)) }
      : { ...nothing, jwtKey: await maker.toJwtKey(toSigningKey(row, unsealed.text)) }
  }

  async function take (rows: Row[], refuse: (row: Row) => void): Promise<void> {
    const taken: Entry[] = []
    for (const row of rows) {
      const { jwtKey, verifyOnly } = await open(row, refuse)
      taken.push({ row, algorithm: row.algorithm, ...lifeOf(row), jwtKey, verifyOnly })
    }
    entries = taken
    byKid = new Map(taken.map(entry => [entry.row.kid, entry]))
    for (const listener of listeners) listener()
  }

  /** Another process that signs with other algorithms does not replace our signing key when it revokes it: we do. */
  async function makeSigner (): Promise<void> {
    const spare = await prepareKey(algorithm, sealKeys[0], clock.now())
    await revocations.transaction((trx, revoke, now, record) => promoteOrInsert({ trx, revoke, record, by: SYSTEM }, algorithm, spare, now))
  }

  function lacksSigner (rows: Row[]): boolean {
    return findSigner(rows.map(toCandidate), algorithm, clock.now()) === undefined
  }

  function report ({ kid }: Row): void {
    if (reported.has(kid)) return
    reported.add(kid)
    log.warn({ kid }, 'another process has made a key that the secrets of this one do not open, and its tokens are refused here: give every process the same list of secrets (option secret, LATCHKEY_SECRET)')
  }

  async function load (refuse: (row: Row) => void): Promise<void> {
    let rows = await read()
    if (isSame(rows, entries)) return
    await take(rows, refuse)
    if (!lacksSigner(rows)) return
    await makeSigner()
    rows = await read()
    await take(rows, refuse)
  }

  function refuseToStart ({ kid }: Row): void {
    throw new Error(`The option secret (LATCHKEY_SECRET, or the .secret file beside the database) does not open the signing key ${kid}: give the secret that this database was made with`)
  }

  await revocations.transaction((trx, _revoke, now) => lengthenRetirement(trx, now))
  // What is read of an empty store is what is known already.
  if ((await read()).length === 0) await makeSigner()
  await load(refuseToStart)
  follower.follow(() => load(report))

  function toView (entry: Entry, signer: Entry | undefined, now: number): KeyView {
    const { row, activatesAt, retiresAt, expiresAt, revokedAt } = entry
    return {
      kid: row.kid,
      algorithm: row.algorithm as Algorithm,
      state: stateOf(entry, now),
      signs: entry === signer,
      createdAt: row.created_at,
      activatesAt,
      retiresAt,
      expiresAt,
      revokedAt,
      issuer: row.issuer,
      audience: row.audience,
      scopes: row.scope === null ? null : parseScope(row.scope)
    }
  }

  return {
    find (kid, now) {
      const entry = byKid.get(kid)
      return entry?.jwtKey !== undefined && verifies(entry, now) ? { key: entry.jwtKey, expiresAt: entry.expiresAt ?? Infinity } : undefined
    },
    findVerifyOnly (algorithm, kid, now) {
      const found: Array<Held<VerifyOnlyJwtKey>> = []
      for (const entry of entries) {
        if (entry.verifyOnly === undefined || entry.algorithm !== algorithm || !verifies(entry, now)) continue
        if (kid === undefined || kid === entry.row.kid) found.push({ key: entry.verifyOnly, expiresAt: entry.expiresAt ?? Infinity })
      }
      return found
    },
    signer (now) {
      const key = findSigner(entries, algorithm, now)?.jwtKey
      if (key === undefined) throw new Error(`There is no ${algorithm} key to sign with that the option secret (LATCHKEY_SECRET) of this process opens`)
      return key
    },
    jwks: now => entries.filter(entry => isPublished(entry, now)).map(entry => entry.jwtKey?.jwk ?? null).filter(jwk => jwk !== null),
    list (now) {
      const signer = findSigner(entries, algorithm, now)
      return entries.map(entry => toView(entry, signer, now))
    },
    isRotationDue: (rotation, now) => isRotationDue(entries, algorithm, rotation, now),
    onChange (listener) {
      listeners.push(listener)
    }
  }
}

function toCandidate (row: Row): KeyLife & { algorithm: string } {
  return { algorithm: row.algorithm, ...lifeOf(row) }
}

/** Read after every commit of another process, most of which are logins. */
function isSame (rows: Row[], entries: Entry[]): boolean {
  return rows.length === entries.length && rows.every((row, index) => {
    const known = entries[index]?.row
    return known !== undefined && Object.entries(row).every(([column, value]) => known[column as keyof Row] === value)
  })
}
