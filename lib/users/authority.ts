import type { Expression, ExpressionBuilder, Selectable, SqlBool } from 'kysely'
import type { Actor } from '../../schemas/events.js'
import { LatchkeyError } from '../errors.js'
import type { RoleDefinitions } from '../identity/roles.js'
import { assertMayGrant, BUILT_IN_SCOPES, parseScope } from '../identity/scopes.js'
import { sql } from '../store/kysely.js'
import type { Queryable, Tables, UsersTable } from '../store/tables.js'
import { scopesOf } from './stored-user.js'
import type { GrantColumns } from './stored-user.js'

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

/** The scope of an administrator. */
const ADMINISTRATION = 'users:write'

/** Whether an account is an administrator: it can log in, and it can change accounts. */
export function isAdministrator (
  account: GrantColumns & Pick<UsersTable, 'disabled_at'>, roles: RoleDefinitions
): boolean {
  return account.disabled_at === null && scopesOf(account, roles).includes(ADMINISTRATION)
}

/** Returns the value of `UsersTable.administrator` for an account. */
export function markOf ({ scope, disabled_at: disabledAt }: Pick<UsersTable, 'scope' | 'disabled_at'>): 1 | null {
  return disabledAt === null && parseScope(scope).includes(ADMINISTRATION) ? 1 : null
}

/**
 * Returns the scopes that `by` acts with, as of this transaction. An accepted request may wait for a hash or for the
 * writer. It must not continue with rights that were removed in the meantime. Throws `insufficient_scope` if
 * `users:write` is missing. Throws `token_revoked` if the account was removed or disabled, the session has ended, or
 * the client was removed.
 */
export async function readAuthority (
  db: Queryable, by: Principal, roles: RoleDefinitions
): Promise<readonly string[]> {
  if (!isLimited(by)) return Object.keys(BUILT_IN_SCOPES)
  const { scopes = [] } = by
  const authority = (await readGranted(db, by, roles)).filter(scope => scopes.includes(scope))
  if (!authority.includes(ADMINISTRATION)) throw new LatchkeyError('insufficient_scope', { scope: ADMINISTRATION })
  return authority
}

async function readGranted (
  db: Queryable, { kind, id, sessionId }: Principal, roles: RoleDefinitions
): Promise<string[]> {
  if (kind === 'anonymous') return []
  if (kind === 'client') {
    const client = await db.selectFrom('latchkey_clients').select('scope').where('id', '=', String(id))
      .executeTakeFirst()
    if (client === undefined) throw new LatchkeyError('token_revoked')
    return parseScope(client.scope)
  }
  const account = await db
    .selectFrom('latchkey_users')
    .select(['scope', 'roles', 'disabled_at'])
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
  return scopesOf(account, roles)
}

/**
 * Returns the account that `by` wants to change and the scopes that `by` acts with, as of this transaction. Throws
 * `not_found`. Throws `insufficient_scope` if the account has authority that `by` lacks, because `by` could take that
 * over by setting the password.
 */
export async function findChangeable (
  db: Queryable, id: string, { by, roles }: { by: Principal, roles: RoleDefinitions }
): Promise<{ account: Selectable<UsersTable>, authority: readonly string[] }> {
  const authority = await readAuthority(db, by, roles)
  const account = await requireAccount(db, id)
  assertMayGrant(authority, scopesOf(account, roles))
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
export async function assertAnotherAdministrator (
  db: Queryable, id: string, roles: RoleDefinitions
): Promise<void> {
  const others = db.selectFrom('latchkey_users').select('id').where('id', '!=', id).limit(1)
  if (await others.where('administrator', 'is not', null).executeTakeFirst() !== undefined) return
  const administrative = Object.keys(roles).filter(name => roles[name]?.includes(ADMINISTRATION))
  const another = administrative.length === 0
    ? undefined
    : await others
      .where('roles', '!=', '')
      .where('disabled_at', 'is', null)
      .where(eb => eb.or(administrative.map(name => holds(eb, name))))
      .executeTakeFirst()
  if (another === undefined) throw new LatchkeyError('last_administrator')
}

/** Whether the row holds a role. LIKE has wildcards, and ignores letter case on SQLite. */
function holds (eb: ExpressionBuilder<Tables, 'latchkey_users'>, role: string): Expression<SqlBool> {
  const padded = sql<string>`' ' || ${eb.ref('roles')} || ' '`
  return sql<boolean>`replace(${padded}, ${` ${role} `}, '') <> ${padded}`
}
