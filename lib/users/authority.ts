import type { Selectable } from 'kysely'
import type { Actor } from '../../schemas/events.js'
import { LatchkeyError } from '../errors.js'
import { assertMayGrant, BUILT_IN_SCOPES, parseScope } from '../identity/scopes.js'
import type { Queryable, UsersTable } from '../store/tables.js'

/**
 * The actor that changes an account. The command line, the host app and Latchkey itself may do everything. A user or a
 * client may do what its token carries, which is nothing if `scopes` is missing.
 */
export interface Principal extends Actor {
  /** The scopes of its access token. */
  readonly scopes?: readonly string[]
  /** The session of that token. */
  readonly sessionId?: string
}

/** Whether the actor comes through HTTP and has at most the rights of its token. */
export function isLimited ({ kind }: Principal): boolean {
  return kind !== 'command' && kind !== 'host' && kind !== 'system'
}

/** Whether an account is an administrator: it can log in, and it can change accounts. */
export function isAdministrator (
  { scope, disabled_at: disabledAt }: Pick<UsersTable, 'scope' | 'disabled_at'>
): boolean {
  return disabledAt === null && parseScope(scope).includes('users:write')
}

/**
 * Returns the scopes that `by` acts with, as of this transaction. An accepted request may wait for a hash or for the
 * writer. It must not continue with rights that were removed in the meantime. Throws `insufficient_scope` if
 * `users:write` is missing. Throws `token_revoked` if the account was removed or disabled, the session has ended, or
 * the client was removed.
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
    const client = await db.selectFrom('latchkey_clients').select('scope').where('id', '=', String(id))
      .executeTakeFirst()
    if (client === undefined) throw new LatchkeyError('token_revoked')
    return parseScope(client.scope)
  }
  const account = await db
    .selectFrom('latchkey_users')
    .select(['scope', 'disabled_at'])
    .where('id', '=', String(id))
    .executeTakeFirst()
  const session =
    sessionId === undefined
      ? undefined
      : await db.selectFrom('latchkey_sessions').select('ended_at').where('id', '=', sessionId).executeTakeFirst()
  // The token of an older system names no session of ours, and is still valid.
  if (account === undefined || account.disabled_at !== null || (session !== undefined && session.ended_at !== null)) {
    throw new LatchkeyError('token_revoked')
  }
  return parseScope(account.scope)
}

/**
 * Returns the account that `by` wants to change and the scopes that `by` acts with, as of this transaction. Throws
 * `not_found`. Throws `insufficient_scope` if the account has authority that `by` lacks, because `by` could take that
 * over by setting the password.
 */
export async function findChangeable (db: Queryable, id: string, by: Principal): Promise<{
  account: Selectable<UsersTable>
  authority: readonly string[]
}> {
  const authority = await readAuthority(db, by)
  const account = await requireAccount(db, id)
  assertMayGrant(authority, parseScope(account.scope))
  return { account, authority }
}

/** Returns the row with this id, or throws `not_found`. */
export async function requireAccount (db: Queryable, id: string): Promise<Selectable<UsersTable>> {
  const account = await db.selectFrom('latchkey_users').selectAll().where('id', '=', id).executeTakeFirst()
  if (account === undefined) throw new LatchkeyError('not_found', { message: 'There is no such user.' })
  return account
}

/**
 * Throws `last_administrator` if no account except `id` is an administrator. Call it in the transaction in which `id`
 * stops being one, because two administrators who remove each other at the same moment must not both succeed. The
 * command line and the host app can add another administrator, so do not call it for them.
 */
export async function assertAnotherAdministrator (db: Queryable, id: string): Promise<void> {
  const another = await db
    .selectFrom('latchkey_users')
    .select('id')
    .where('administrator', 'is not', null)
    .where('id', '!=', id)
    .limit(1)
    .executeTakeFirst()
  if (another === undefined) throw new LatchkeyError('last_administrator')
}
