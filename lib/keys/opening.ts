import type { Algorithm } from '../../schemas/algorithms.js'
import { verifies } from './life.js'
import { isSound } from './rows.js'
import type { KeyRow } from './rows.js'
import { toSigningKey, toVerifyOnlyKey, unsealKeyText } from './material.js'
import type { PublicJwk, SigningKey, VerifyOnlyKey } from './material.js'

/** A key of ours with its algorithm, type, issuer and audience pinned. @fastify/jwt makes it from a `SigningKey`. */
export interface JwtKey {
  readonly kid: string
  readonly algorithm: Algorithm
  readonly jwk: PublicJwk | null
  sign (claims: object): string
  /** Signs with the type of a status list, which no verifier of access tokens accepts: RFC 8725 section 3.11. */
  signStatusList (claims: object): string
  /**
   * Returns the payload if signature, `alg`, `typ`, `iss` and `aud` are right and no required claim is missing. Throws
   * otherwise.
   */
  verify (token: string): unknown
}

/** A key of an older system with its algorithm pinned, and nothing else. */
export interface VerifyOnlyJwtKey {
  readonly key: VerifyOnlyKey
  /** Returns the payload if signature and `alg` are right. Throws otherwise. */
  verify (token: string): unknown
}

/**
 * Builds keys with the framework's JWT library, which lib/ does not import. Both functions reject if the key does not
 * work.
 */
export interface JwtKeyMaker {
  toJwtKey (key: SigningKey): Promise<JwtKey>
  toVerifyOnlyJwtKey (key: VerifyOnlyKey): Promise<VerifyOnlyJwtKey>
}

/** Why a key cannot be opened. */
export type KeyProblem = 'secret' | 'damaged'

/** A row, and its key if it could be opened. */
export interface Entry {
  row: KeyRow
  jwtKey: JwtKey | undefined
  verifyOnly: VerifyOnlyJwtKey | undefined
  problem: KeyProblem | null
}

type Opened = Omit<Entry, 'row'>

/** If these have not changed, neither have the key and its rules. A second import can change the rules. */
const SAME = ['created_at', 'algorithm', 'issuer', 'audience', 'scope', 'leniency'] as const

const NOT_OPENED: Opened = { jwtKey: undefined, verifyOnly: undefined, problem: null }

/** The warning that is logged once for each key. */
export const REPORTS: Record<KeyProblem, string> = {
  secret: 'a key in the database does not open with the secrets of this process, so its tokens are refused here: ' +
    'give every process the same list of secrets (option secret, LATCHKEY_SECRET), ' +
    'or remove the key with `latchkey keys revoke`',
  damaged: 'a key in the database is damaged, so its tokens are refused: remove it with `latchkey keys revoke`'
}

/** The error of a process whose secrets open none of these keys. */
export function secretOpensNothing (entries: readonly Entry[]): Error {
  const kid = entries.find(({ problem }) => problem === 'secret')?.row.kid ?? ''
  return new Error(
    'The option secret (LATCHKEY_SECRET, or the .secret file beside the database) does not open the signing key ' +
    `${kid}: give the secret that this database was made with. If the secret is right, the key is damaged: ` +
    `remove it with \`latchkey keys revoke ${kid}\``
  )
}

/**
 * Opens a row of the keys. Never throws, because one row that cannot be opened must not stop the others.
 * @param known - the same key, if it was opened before.
 */
export async function openKey (row: KeyRow, { known, sealKeys, maker, now }: {
  known: Entry | undefined
  sealKeys: readonly Buffer[]
  maker: JwtKeyMaker
  now: number
}): Promise<Opened> {
  if (!verifies(row, now)) return NOT_OPENED
  if (row.isDamaged) return { ...NOT_OPENED, problem: 'damaged' }
  // A key that was sealed again, perhaps with a secret that we do not have yet, is still the same key.
  const isKnown = known !== undefined && SAME.every(name => known.row[name] === row[name])
  if (isKnown && (known.jwtKey !== undefined || known.verifyOnly !== undefined)) return known
  if (!isSound(row)) return { ...NOT_OPENED, problem: 'damaged' }
  const unsealed = unsealKeyText(sealKeys, row)
  if (unsealed === undefined) return { ...NOT_OPENED, problem: 'secret' }
  try {
    return row.activates_at === null
      ? { ...NOT_OPENED, verifyOnly: await maker.toVerifyOnlyJwtKey(toVerifyOnlyKey(row, unsealed.text)) }
      : { ...NOT_OPENED, jwtKey: await maker.toJwtKey(toSigningKey(row, unsealed.text)) }
  } catch {
    // An older version could store unusable keys. The error is not logged, because it could quote the key.
    return { ...NOT_OPENED, problem: 'damaged' }
  }
}
