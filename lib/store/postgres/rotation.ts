import type { Selectable } from 'kysely'
import { CompiledQuery } from '../kysely.js'
import type { RotatedSession, Rotation } from '../rotation.js'
import type { Queryable, SessionsTable } from '../tables.js'
import { numberOf } from './locks.js'
import { SERVER_TIME } from './time.js'

// A refresh in one statement, which commits on its own. If another transaction holds the row of the account or of the
// session, the statement waits. Then PostgreSQL evaluates the conditions again with the committed row. So it decides
// on what is true while it holds both locks, and every change of the account comes entirely before or after it.

/** The time, read when the lock of the account is held. The parameter: see `OpenOptions.now`. */
const TIME = `coalesce($6::bigint, ${SERVER_TIME}) as now`

/** Locks the row of a built-in user. $8 and $10: the scopes and the roles that it must have, or null. */
const BUILT_IN = {
  lock: `select id, username, scope, roles, disabled_at from latchkey_users
    where id = (select user_id from latchkey_sessions where id = $1::text) for share`,
  columns: `id as account_id, username as account_username, scope as account_scope, roles as account_roles,
    disabled_at`,
  condition: `moment.disabled_at is null and ($8::text is null or moment.account_scope = $8::text)
    and ($10::text is null or moment.account_roles = $10::text)`,
  returning: 'moment.account_id, moment.account_username, moment.account_scope, moment.account_roles'
}

/** Locks the name of a user of the host. $8: the number of the lock. */
const HOST = {
  lock: 'select pg_catalog.pg_advisory_xact_lock_shared($8::bigint)',
  columns: 'null as account_id',
  condition: 'true',
  returning: 'moment.account_id'
}

type Parts = Record<'lock' | 'columns' | 'condition' | 'returning', string>

function toSql ({ lock, columns, condition, returning }: Parts): string {
  return `with account as materialized (${lock})
    update latchkey_sessions as session
    set generation = session.generation operator(pg_catalog.+) 1::bigint, rotated_at = moment.now,
      last_used_at = greatest(moment.now, session.last_used_at, $9::bigint),
      idle_expires_at = least(greatest(moment.now + $5::bigint, session.idle_expires_at), session.expires_at)
    from (select ${columns}, ${TIME} from account) as moment
    where session.id = $1::text and session.nonce = $2::text and session.generation = $3::bigint
      and session.client_id = $4::text and session.ended_at is null
      and session.expires_at > moment.now and session.idle_expires_at > moment.now
      and (session.status_list is not null or not $7::boolean) and ${condition}
    returning session.*, ${returning}, moment.now`
}

const BUILT_IN_SQL = toSql(BUILT_IN)
const HOST_SQL = toSql(HOST)

type Row = Selectable<SessionsTable> & {
  account_id: string | null
  account_username: string
  account_scope: string
  account_roles: string
  now: number
}

/** Runs the statement: see `Rotate`. `time`: the time that replaces the server's, in milliseconds, or null. */
export async function rotate (
  db: Queryable, schema: string, { time, ...rotation }: Rotation & { time: number | null }
): Promise<RotatedSession | undefined> {
  const { sessionId, nonce, generation, clientId, refreshIdleTtl, needsStatus, account } = rotation
  const common = [sessionId, nonce, generation, clientId, refreshIdleTtl, time, needsStatus]
  const usedAt = account.usedAt ?? null
  const { rows: [row] } = await db.executeQuery<Row>(account.isBuiltIn
    ? CompiledQuery.raw(BUILT_IN_SQL, [
      ...common, account.grants?.scope ?? null, usedAt, account.grants?.roles ?? null
    ])
    : CompiledQuery.raw(HOST_SQL, [
      ...common, String(numberOf(schema, { on: 'user', id: account.userId })), usedAt
    ]))
  if (row === undefined) return undefined
  const {
    account_id: id, account_username: username, account_scope: scope, account_roles: roles, now, ...session
  } = row
  return { session, account: id === null ? undefined : { id, username, scope, roles }, now }
}
