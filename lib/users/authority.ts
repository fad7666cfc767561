import type { Selectable } from 'kysely'
import type { Actor } from '../../schemas/events.js'
import { LatchkeyError } from '../errors.js'
import { assertMayGrant, BUILT_IN_SCOPES, parseScope } from '../identity/scopes.js'
import type { Queryable, UsersTable } from '../store/tables.js'

/**
 * Who wants a change of an account. The command line, the host app and Latchkey itself may do everything; a user or a client
 * may do what its token carries, which is nothing where that is not said.
 */
export interface Principal extends Actor {
  /** What its access token carries. */
  readonly scopes?: readonly string[]
  /** The session of that token. */
  readonly sessionId?: string
}

/** Whether it comes through HTTP, with the rights of a token. */
export function isLimited ({ kind }: Principal): boolean {
  return kind !== 'command' && kind !== 'host' && kind !== 'system'
}

/** What makes an account an administrator: it can log in, and change accounts. */
export function isAdministrator ({ scope, disabled_at: disabledAt }: Pick<UsersTable, 'scope' | 'disabled_at'>): boolean {
  return disabledAt === null && parseScope(scope).includes('users:write')
}

/**
 * The scopes that `by` acts with, as of this transaction: a request that was let in and then waited, for a hash or for the writer, must not
 * go on with what was taken away in the meantime. Throws `insufficient_scope` without `users:write`, and `token_revoked` where its
 * account was closed, its session ended, or the client was removed.
 */
export async function readAuthority (db: Queryable, by: Principal): Promise<readonly string[]> {
  if (!isLimited(by)) return Object.keys(BUILT_IN_SCOPES)
  const { scopes = [] } = by
  const authority = (await readGranted(db, by)).filter(scope => scopes.includes(scope))
  if (!authority.includes('users:write')) throw new LatchkeyError('insufficient_scope', { scope: 'users:write' })
  return authority
}

async function readGranted (db: Queryable, { kind, id, sessionId }: Principal): Promise<string[]> {
  if (kind === 'anonymous') return []
  if (kind === 'client') {
    const client = await db.selectFrom('clients').select('scope').where('id', '=', String(id)).executeTakeFirst()
    if (client === undefined) throw new LatchkeyError('token_revoked')
    return parseScope(client.scope)
  }
  const account = await db.selectFrom('users').select(['scope', 'disabled_at']).where('id', '=', String(id)).executeTakeFirst()
  const session = sessionId === undefined ? undefined : await db.selectFrom('sessions').select('ended_at').where('id', '=', sessionId).executeTakeFirst()
  // A token of an older system names no session of ours.
  if (account === undefined || account.disabled_at !== null || (session !== undefined && session.ended_at !== null)) throw new LatchkeyError('token_revoked')
  return parseScope(account.scope)
}

/**
 * The account that `by` wants to change, as of this transaction, and the scopes that `by` acts with. Throws `not_found`, and
 * `insufficient_scope` where the account has authority that `by` lacks: to set its password would be to take that over.
 */
export async function findChangeable (db: Queryable, id: string, by: Principal): Promise<{ account: Selectable<UsersTable>, authority: readonly string[] }> {
  const authority = await readAuthority(db, by)
  const account = await requireAccount(db, id)
  assertMayGrant(authority, parseScope(account.scope))
  return { account, authority }
}

/** The row of this id. Throws `not_found`. */
export async function requireAccount (db: Queryable, id: string): Promise<Selectable<UsersTable>> {
  const account = await db.selectFrom('users').selectAll().where('id', '=', id).executeTakeFirst()
  if (account === undefined) throw new LatchkeyError('not_found', { message: 'There is no such user.' })
  return account
}

/**
 * Throws `last_administrator` where no account but `id` is one. Call it in the transaction that ends that: two who remove each other
 * at the same moment must not both succeed. Not for the command line and the host app, which can add another.
 */
export async function assertAnotherAdministrator (db: Queryable, id: string): Promise<void> {
  const another = await db.selectFrom('users').select('id').where('administrator', 'is not', null).where('id', '!=', id).limit(1).executeTakeFirst()
  if (another === undefined) throw new LatchkeyError('last_administrator')
}
