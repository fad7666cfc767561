import type { User } from '../../schemas/host.js'
import type { Client } from '../clients/clients.js'
import { isNarrower, parseScope } from '../identity/scopes.js'
import type { BuiltInUser } from '../users/stored-user.js'
import type { Issuing, Prepared } from './issued.js'
import type { RefreshTokenParts } from './refresh-token.js'
import type { SessionRow } from './rows.js'

/** One of our refresh tokens, and the request that presents it. */
export interface Presented extends RefreshTokenParts {
  client: Client | undefined
  scope: string | undefined
  address: string | undefined
}

/** The data that is read before the session is rotated. */
export interface Asked {
  session: SessionRow
  /** The account, if the host's code must run before the transaction. Otherwise null: the transaction reads it. */
  account: (User & Partial<Pick<BuiltInUser, 'ownScopes'>>) | null
  /** The same holds for the grant. Undefined also if the request asks for more than was granted. */
  prepared: Prepared | undefined
  /** Milliseconds: before the host was asked. */
  askedAt: number
  /** From `Revocations.clearFrom`, before the host was asked. */
  clearFrom: number
}

/**
 * Prepares a grant of the scopes that the session was granted and the account still has. Returns undefined if the
 * request asks for more, or if there is no account.
 */
export async function prepareFor (
  prepare: Issuing['prepare'],
  { scope }: Pick<Presented, 'scope'>,
  { session, account }: Pick<Asked, 'session' | 'account'>
): Promise<Prepared | undefined> {
  const granted = account === null ? [] : parseScope(session.scope).filter(name => account.scopes.includes(name))
  return account === null || !isNarrower(granted, scope) ? undefined : await prepare(account, granted, scope)
}
