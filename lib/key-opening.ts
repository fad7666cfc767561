import type { Algorithm } from '../schemas/algorithms.js'
import { verifies } from './key-life.js'
import { isSound } from './key-rows.js'
import type { KeyRow } from './key-rows.js'
import { toSigningKey, toVerifyOnlyKey, unsealKeyText } from './keys.js'
import type { PublicJwk, SigningKey, VerifyOnlyKey } from './keys.js'

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

/**
 * What the keyring is made with: the framework's JWT library, which lib/ does not know. Both reject if the key does
 * not work.
 */
export interface JwtKeyMaker {
  toJwtKey (key: SigningKey): Promise<JwtKey>
  toVerifyOnlyJwtKey (key: VerifyOnlyKey): Promise<VerifyOnlyJwtKey>
}

/** Why a key cannot be opened. */
export type KeyProblem = 'secret' | 'damaged'

/** A row, opened or not. */
export interface Entry {
  row: KeyRow
  jwtKey: JwtKey | undefined
  verifyOnly: VerifyOnlyJwtKey | undefined
  problem: KeyProblem | null
}

type Opened = Omit<Entry, 'row'>

const NOT_OPENED: Opened = { jwtKey: undefined, verifyOnly: undefined, problem: null }

/** What the log says, once for each key. */
export const REPORTS: Record<KeyProblem, string> = {
  secret: 'a key in the database does not open with the secrets of this process, and its tokens are refused here: ' +
    'give every process the same list of secrets (option secret, LATCHKEY_SECRET), or remove the key with `latchkey keys revoke`',
  damaged: 'a key in the database is damaged, and its tokens are refused: remove it with `latchkey keys revoke`'
}

/**
 * Opens a row of the keys. Never throws: one row that cannot be opened must not stop the others.
 * @param known - the same key, as it was opened before.
 */
export async function openKey (row: KeyRow, { known, sealKeys, maker, now }: {
  known: Entry | undefined
  sealKeys: readonly Buffer[]
  maker: JwtKeyMaker
  now: number
}): Promise<Opened> {
  if (!verifies(row, now)) return NOT_OPENED
  if (row.isDamaged) return { ...NOT_OPENED, problem: 'damaged' }
  // What is sealed again, perhaps with a secret that we do not have yet, is the same key.
  const isKnown = known?.row.created_at === row.created_at && known.row.algorithm === row.algorithm
  if (isKnown && (known.jwtKey !== undefined || known.verifyOnly !== undefined)) return known
  if (!isSound(row)) return { ...NOT_OPENED, problem: 'damaged' }
  const unsealed = unsealKeyText(sealKeys, row)
  if (unsealed === undefined) return { ...NOT_OPENED, problem: 'secret' }
  try {
    return row.activates_at === null
      ? { ...NOT_OPENED, verifyOnly: await maker.toVerifyOnlyJwtKey(toVerifyOnlyKey(row, unsealed.text)) }
      : { ...NOT_OPENED, jwtKey: await maker.toJwtKey(toSigningKey(row, unsealed.text)) }
  } catch {
    // An older version stored what it could not use afterwards. The reason could quote the key.
    return { ...NOT_OPENED, problem: 'damaged' }
  }
}
