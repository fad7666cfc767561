import type { Selectable } from 'kysely'
import { CLIENT_GRANTS } from '../../schemas/grants.js'
import type { ClientGrant } from '../../schemas/grants.js'
import { LatchkeyError } from '../errors.js'
import { parseScope } from '../identity/scopes.js'
import { toMoment, toText } from '../store/columns.js'
import { NO_SECRET } from './secrets.js'
import type { ClientsTable, Queryable } from '../store/tables.js'

/** A registered client, without its secret. Only the secret can change. */
export interface Client {
  id: string
  name: string
  /** No token for this client carries any other scope. */
  scopes: string[]
  grants: ClientGrant[]
  /** Whether it has no secret: RFC 6749 section 2.1. It can log users in, but cannot prove its identity. */
  isPublic: boolean
  /** Milliseconds. */
  createdAt: number
  /** Milliseconds. If it is public, the same as `createdAt`. */
  secretChangedAt: number
}

/** Returns the row with this id, or undefined. */
export async function findRow (db: Queryable, id: string): Promise<Selectable<ClientsTable> | undefined> {
  return await db.selectFrom('latchkey_clients').selectAll().where('id', '=', id).executeTakeFirst()
}

/** Returns the row with this id, or throws `not_found`. */
export async function requireRow (db: Queryable, id: string): Promise<Selectable<ClientsTable>> {
  const row = await findRow(db, id)
  if (row === undefined) throw new LatchkeyError('not_found', { message: 'There is no such client.' })
  return row
}

/**
 * Sorts after every id that Latchkey creates. A damaged id that is not text sorts after all text, and no cursor gets
 * past it.
 */
const LAST_ID = '\u{10FFFF}'

/** Which clients to list. The list is sorted by id, so the oldest client comes first. */
export interface ClientListQuery {
  /** Only clients after this id. Default: all. */
  after?: string
  /** The maximum number of clients. Default: 100. */
  limit?: number
}

/** `Clients.list`. */
export async function listClients (
  db: Queryable, { after = '', limit = 100 }: ClientListQuery
): Promise<Client[]> {
  const rows = await db.selectFrom('latchkey_clients').selectAll()
    .where('id', '>', after).where('id', '<', LAST_ID).orderBy('id').limit(limit).execute()
  return rows.map(toClient)
}

/** Throws `invalid_client` if the client was removed or got a new secret since it authenticated. */
export async function assertCurrent (db: Queryable, { id, secretChangedAt }: Client): Promise<void> {
  const row = await db.selectFrom('latchkey_clients').select('secret_changed_at').where('id', '=', id)
    .executeTakeFirst()
  if (row === undefined || toMoment(row.secret_changed_at) !== secretChangedAt) {
    throw new LatchkeyError('invalid_client')
  }
}

/** Returns the client that a row stores. */
export function toClient (row: Selectable<ClientsTable>): Client {
  return {
    id: row.id,
    name: toText(row.name),
    scopes: parseScope(row.scope),
    grants: toText(row.grants).split(' ').filter(isClientGrant),
    isPublic: row.secret_hash === NO_SECRET,
    createdAt: toMoment(row.created_at),
    secretChangedAt: toMoment(row.secret_changed_at)
  }
}

function isClientGrant (name: string): name is ClientGrant {
  return (CLIENT_GRANTS as readonly string[]).includes(name)
}
