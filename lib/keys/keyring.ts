import type { Algorithm } from '../../schemas/algorithms.js'
import type { Clock } from '../time/clock.js'
import { SYSTEM } from '../ledger/events.js'
import type { Follower } from '../store/change-follower.js'
import { lengthenRetirement, prepareKey, promoteOrInsert } from './changes.js'
import { findActingSigner, findSigner, isPublished, isRotationDue, stateOf, verifies } from './life.js'
import type { KeyLife, KeyState } from './life.js'
import { openKey, REPORTS, secretOpensNothing } from './opening.js'
import type { Entry, JwtKey, JwtKeyMaker, KeyProblem, VerifyOnlyJwtKey } from './opening.js'
import { readLeniency, type Leniency } from './leniency.js'
import { isSound, judgeSecrets, readKeys } from './rows.js'
import type { KeyRow } from './rows.js'
import { unsealKeyText } from './material.js'
import type { PublicJwk } from './material.js'
import type { Revocations } from '../revocation/revocations.js'
import { parseScope } from '../identity/scopes.js'
import type { Store } from '../store/store.js'
import { exclusive } from '../store/lock.js'

export type { JwtKey, JwtKeyMaker, VerifyOnlyJwtKey } from './opening.js'

/** A key, and when it expires. */
export interface Held<Key> {
  key: Key
  /** Milliseconds, or Infinity. */
  expiresAt: number
}

/** What an administrator can see of a key. It never includes the key itself. */
export interface KeyView extends KeyLife {
  kid: string
  algorithm: Algorithm
  /** `unusable`: it cannot be opened here. See `problem`. */
  state: KeyState | 'unusable'
  /**
   * Why it cannot be used. `secret`: another secret sealed it, or the seal is damaged. `damaged`: the row holds no
   * key. Null: it can be used.
   */
  problem: KeyProblem | null
  /** Whether this process signs with it. */
  signs: boolean
  /** Milliseconds. */
  createdAt: number
  issuer: string | null
  audience: string | null
  /** For a key that only verifies, the scopes that its tokens may carry. Null: all of the app's own. */
  scopes: readonly string[] | null
  leniency: Leniency
}

/** The keys of the store, opened and in memory. Call `Follower.refresh` first, because it also updates them. */
export interface Keyring {
  /** Returns our key with this `kid`, if its tokens may be trusted. */
  find (kid: string, now: number): Held<JwtKey> | undefined
  /** Whether the tokens of the key with this `kid` may be trusted, whether it is ours or of an older system. */
  trusts (kid: string, now: number): boolean
  /**
   * Returns the keys of older systems that may have signed a token of this algorithm: the one that it names, or all of
   * them if it names none.
   */
  findVerifyOnly (algorithm: string, kid: string | undefined, now: number): Array<Held<VerifyOnlyJwtKey>>
  /** Whether there are keys of older systems. */
  holdsVerifyOnly (now: number): boolean
  /** Returns the key that signs now. Throws if the secrets of this process open none. */
  signer (now: number): JwtKey
  /** Returns the public keys (RFC 7517 section 5). */
  jwks (now: number): PublicJwk[]
  /** Returns all keys, oldest first. */
  list (now: number): KeyView[]
  /** Whether the signing key must be replaced now. `rotation`: see `isRotationDue` in `life.ts`. */
  isRotationDue (rotation: number | undefined, now: number): boolean
  /**
   * Returns the keys in the store that may be chosen to sign. These are the keys that open here. If none opens, the
   * secret of this process may be wrong. Then all keys count, so that this process does not replace the keys of others.
   */
  candidates (keys: readonly KeyRow[]): KeyRow[]
  /**
   * Whether there are keys that may be good but none of them opens. Then the secret of this process is probably wrong.
   */
  opensNone (keys: readonly KeyRow[]): boolean
  /** Registers a listener that is called when keys have changed, for example to forget what the old ones verified. */
  onChange (listener: () => void): void
}

/**
 * Opens the keys in the store and follows its changes. If no key signs with `algorithm`, it makes one. Keys are stored
 * beside the revocations on purpose. If the store is lost, both are lost, so no revoked token works again. A key that
 * cannot be opened is left out and reported once.
 * @param sealKeys - the first one seals, all of them unseal.
 * @param isRepair - opens even with a wrong secret, and then makes no key, so that keys can be listed and revoked.
 * @throws Error that names the option `secret` if no key opens, because a new signing key under a wrong secret would
 * end every session.
 */
export async function openKeyring ({
  store, clock, revocations, follower, algorithm, sealKeys, maker, log, isRepair = false
}: {
  store: Store
  clock: Clock
  revocations: Revocations
  follower: Follower
  algorithm: Algorithm
  sealKeys: readonly [Buffer, ...Buffer[]]
  maker: JwtKeyMaker
  log: { warn (details: object, message: string): void }
  isRepair?: boolean
}): Promise<Keyring> {
  const memory: Memory = { entries: [], byKid: new Map() }
  const listeners: Array<() => void> = []
  const reportProblems = createReports(memory, log)
  const read = (): Promise<KeyRow[]> => store.read(readKeys)

  async function take (rows: KeyRow[]): Promise<void> {
    const taken: Entry[] = []
    for (const row of rows) {
      const known = memory.byKid.get(row.kid)
      const { jwtKey, verifyOnly, problem } = await openKey(row, { known, sealKeys, maker, now: clock.now() })
      taken.push({ row, jwtKey, verifyOnly, problem })
    }
    memory.entries = taken
    memory.byKid = new Map(taken.map(entry => [entry.row.kid, entry]))
    for (const listener of listeners) listener()
  }

  function opensNone (rows: readonly KeyRow[]): boolean {
    return judgeSecrets(withoutDamaged(memory, rows), sealKeys, clock.now()) === 'wrong'
  }

  function candidates (rows: readonly KeyRow[]): KeyRow[] {
    const sound = withoutDamaged(memory, rows)
    return judgeSecrets(sound, sealKeys, clock.now()) === 'right'
      ? sound.filter(row => unsealKeyText(sealKeys, row) !== undefined)
      : sound
  }

  /** If a process that signs with another algorithm revokes our signing key, it does not replace it, so we do. */
  async function makeSigner (): Promise<void> {
    const spare = await prepareKey(algorithm, sealKeys[0], clock.now())
    await revocations.write([exclusive('keys')], write =>
      promoteOrInsert({ ...write, by: SYSTEM, candidates }, spare, { algorithm, now: write.now })
    )
  }

  function lacksSigner (rows: readonly KeyRow[]): boolean {
    return findSigner(rows, algorithm, clock.now()) === undefined
  }

  async function load (): Promise<void> {
    const rows = await read()
    if (isSame(rows, memory.entries)) return
    await take(rows)
    // A key that other secrets sealed counts here. Otherwise two processes with different secrets would keep replacing
    // each other's keys.
    if (!opensNone(rows) && lacksSigner(withoutDamaged(memory, rows))) await replaceSigner()
    reportProblems()
  }

  async function replaceSigner (): Promise<void> {
    await makeSigner()
    await take(await read())
  }

  async function start (): Promise<void> {
    const rows = await read()
    // An empty store has nothing to open.
    if (rows.length > 0) await take(rows)
    if (opensNone(rows)) {
      if (!isRepair) throw secretOpensNothing(memory.entries)
    } else if (lacksSigner(candidates(rows))) {
      await replaceSigner()
    }
    reportProblems()
  }

  await revocations.write([exclusive('keys')], ({ trx, now }) => lengthenRetirement(trx, now))
  await start()
  follower.follow(load)

  return {
    ...createLookUps(memory, algorithm),
    candidates,
    opensNone,
    onChange (listener) {
      listeners.push(listener)
    }
  }
}

/** Creates the function that logs each key that cannot be opened, once. */
function createReports (memory: Memory, log: { warn (details: object, message: string): void }): () => void {
  const reported = new Set<string>()
  return function reportProblems () {
    for (const { row: { kid }, problem } of memory.entries) {
      if (problem === null || reported.has(kid)) continue
      reported.add(kid)
      log.warn({ kid }, REPORTS[problem])
    }
  }
}

/** The keys that are open in this process. */
interface Memory {
  entries: Entry[]
  byKid: Map<string, Entry>
}

type LookUps =
  Pick<Keyring, 'find' | 'trusts' | 'findVerifyOnly' | 'holdsVerifyOnly' | 'signer' | 'jwks' | 'list' | 'isRotationDue'>

/** Creates the functions that only read the keys in memory. */
function createLookUps (memory: Memory, algorithm: Algorithm): LookUps {
  function findSigning (now: number): Entry | undefined {
    return memory.byKid.get(findActingSigner(openedRows(memory), algorithm, now)?.kid ?? '')
  }

  return {
    find (kid, now) {
      const entry = memory.byKid.get(kid)
      return entry?.jwtKey !== undefined && verifies(entry.row, now)
        ? { key: entry.jwtKey, expiresAt: entry.row.expiresAt ?? Infinity }
        : undefined
    },
    trusts (kid, now) {
      const entry = memory.byKid.get(kid)
      return entry !== undefined && (entry.jwtKey ?? entry.verifyOnly) !== undefined && verifies(entry.row, now)
    },
    findVerifyOnly (algorithm, kid, now) {
      const found: Array<Held<VerifyOnlyJwtKey>> = []
      for (const entry of memory.entries) {
        if (entry.verifyOnly === undefined || entry.row.algorithm !== algorithm || !verifies(entry.row, now)) continue
        if (kid === undefined || kid === entry.row.kid) {
          found.push({ key: entry.verifyOnly, expiresAt: entry.row.expiresAt ?? Infinity })
        }
      }
      return found
    },
    holdsVerifyOnly: now => memory.entries.some(entry => entry.verifyOnly !== undefined && verifies(entry.row, now)),
    signer (now) {
      const key = findSigning(now)?.jwtKey
      if (key === undefined) {
        throw new Error(
          `The option secret (LATCHKEY_SECRET) of this process opens no ${algorithm} key to sign with: ` +
          'give every process the same list of secrets'
        )
      }
      return key
    },
    jwks: now => memory.entries.filter(({ row }) => isPublished(row, now))
      .map(({ jwtKey }) => jwtKey?.jwk ?? null).filter(jwk => jwk !== null),
    list (now) {
      const signer = findSigning(now)
      return memory.entries.map(entry => toView(entry, signer, now))
    },
    isRotationDue: (rotation, now) => isRotationDue(openedRows(memory), { algorithm, rotation, now })
  }
}

/**
 * Leaves out rows that hold no key at all. A key that our secrets do not open stays, because it may be the key of
 * another process.
 */
function withoutDamaged ({ byKid }: Memory, rows: readonly KeyRow[]): KeyRow[] {
  return rows.filter(row => isSound(row) && byKid.get(row.kid)?.problem !== 'damaged')
}

function openedRows ({ entries }: Memory): KeyRow[] {
  return entries.filter(({ jwtKey }) => jwtKey !== undefined).map(({ row }) => row)
}

function toView ({ row, problem }: Entry, signer: Entry | undefined, now: number): KeyView {
  const { activatesAt, retiresAt, expiresAt, revokedAt } = row
  return {
    kid: row.kid,
    algorithm: row.algorithm as Algorithm,
    state: problem === null ? stateOf(row, now) : 'unusable',
    problem,
    signs: row === signer?.row,
    createdAt: row.created_at,
    activatesAt,
    retiresAt,
    expiresAt,
    revokedAt,
    issuer: row.issuer,
    audience: row.audience,
    scopes: row.scope === null ? null : parseScope(row.scope),
    leniency: readLeniency(row.leniency)
  }
}

/** Whether nothing has changed. The rows are read after each commit of another process, and most commits are logins. */
function isSame (rows: KeyRow[], entries: Entry[]): boolean {
  return rows.length === entries.length && rows.every((row, index) => {
    const known = entries[index]?.row
    return (
      known !== undefined && Object.entries(row).every(([column, value]) => known[column as keyof KeyRow] === value)
    )
  })
}
