import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'
import type { Selectable } from 'kysely'
import { CLIENT_ID_PREFIX } from '../../schemas/clients.js'
import { CLIENT_GRANTS } from '../../schemas/grants.js'
import type { ClientGrant } from '../../schemas/grants.js'
import { findClientNameProblem } from './names.js'
import type { Clock } from '../time/clock.js'
import { LatchkeyError } from '../errors.js'
import { asClient, HOST } from '../ledger/events.js'
import { createId } from '../identity/ids.js'
import type { Ledger } from '../ledger/ledger.js'
import type { Revocations } from '../revocation/revocations.js'
import { assertKnownScopes, assertMayGrant, formatScope, narrowScope, parseScope } from '../identity/scopes.js'
import { closeSessions, inSteps } from '../revocation/session-ending.js'
import { toMoment, toText } from '../store/columns.js'
import type { ClientsTable, Queryable } from '../store/tables.js'
import type { Store } from '../store/store.js'
import type { AccessGrant } from '../tokens/tokens.js'
import { isLimited } from '../users/authority.js'
import type { Principal } from '../users/authority.js'

/** A machine client, without its secret. Everything but the secret stays as it was made. */
export interface Client {
  id: string
  name: string
  /** The most that any token made for this client carries. */
  scopes: string[]
  grants: ClientGrant[]
  /** Milliseconds. */
  createdAt: number
  /** Milliseconds. */
  secretChangedAt: number
}

/**
 * The registered machine clients. What takes rights away kills the tokens that have them, before its promise resolves.
 *
 * A user or a client (`by`) that adds, changes or removes a client gets `insufficient_scope` if the client has built-in
 * scopes that its own token lacks (see `assertMayGrant`). The command line and the host app may do all of it.
 */
export interface Clients {
  /** The client whose id and secret these are, or null; in the same time whether the id or the secret is wrong. */
  authenticate (id: string, secret: string): Promise<Client | null>
  find (id: string): Promise<Client | null>
  /** All clients, the oldest first, those after the id `after`; at most `limit`. */
  list (page?: { after?: string, limit?: number }): Promise<Client[]>
  /**
   * Adds a client. Its secret is given this once. Throws a RangeError for an unknown scope, or `invalid_scope` if `by`
   * is a user or a client. Throws `invalid_request` for a bad name.
   */
  add (
    client: { name: string, scopes?: readonly string[], grants?: readonly ClientGrant[] }, by?: Principal
  ): Promise<{ client: Client, secret: string }>
  /**
   * Gives a new secret. The old one, and every access token made before, are dead. Sessions go on with the new one.
   * Throws `not_found`.
   */
  rotateSecret (id: string, by?: Principal): Promise<{ client: Client, secret: string }>
  /** Deletes the client, with every session and token. Throws `not_found`. */
  remove (id: string, by?: Principal): Promise<Client>
  /**
   * Returns what an access token of the client's own may say: RFC 6749 section 4.4. Throws `invalid_scope`, or
   * `invalid_client` if the client was changed since it authenticated.
   */
  issue (client: Client, request?: { scope?: string, address?: string }): Promise<AccessGrant>
}

/** Throws `invalid_client` where a client was removed, or got another secret, since it authenticated. */
export async function assertCurrent (db: Queryable, { id, secretChangedAt }: Client): Promise<void> {
  const row = await db.selectFrom('clients').select('secret_changed_at').where('id', '=', id).executeTakeFirst()
  if (row === undefined || toMoment(row.secret_changed_at) !== secretChangedAt) {
    throw new LatchkeyError('invalid_client')
  }
}

/**
 * The holder of a client's secret has its scopes, so a user or a client cannot give a secret that carries more than
 * their own token.
 */
function assertMayManage (by: Principal, scopes: readonly string[]): void {
  if (isLimited(by)) assertMayGrant(by.scopes ?? [], scopes)
}

/**
 * Hashed once, without salt: that and a slow hash are for what people choose. Of 256 random bits nobody makes a table,
 * and nobody tries them all; a hash that is quick lets a client authenticate with every request.
 */
function hashSecret (secret: string): Buffer {
  return createHash('sha256').update(secret).digest()
}

/**
 * Sorts after every id of ours. A damaged id that is not text sorts after all text, and no cursor could get past it.
 */
const LAST_ID = '\u{10FFFF}'

function createSecret (): string {
  return `lks_${randomBytes(32).toString('base64url')}`
}

function isClientGrant (name: string): name is ClientGrant {
  return (CLIENT_GRANTS as readonly string[]).includes(name)
}

function toClient (row: Selectable<ClientsTable>): Client {
  return {
    id: row.id,
    name: toText(row.name),
    scopes: parseScope(row.scope),
    grants: toText(row.grants).split(' ').filter(isClientGrant),
    createdAt: toMoment(row.created_at),
    secretChangedAt: toMoment(row.secret_changed_at)
  }
}

/** Creates the registered clients over the store. */
export function createClients ({ store, clock, ledger, revocations, catalogue }: {
  store: Store
  clock: Clock
  ledger: Ledger
  revocations: Revocations
  catalogue: Readonly<Record<string, string>>
}): Clients {
  // What the secret of an unknown client is compared with.
  const nobody = randomBytes(32)

  async function findRow (db: Queryable, id: string): Promise<Selectable<ClientsTable> | undefined> {
    return await db.selectFrom('clients').selectAll().where('id', '=', id).executeTakeFirst()
  }

  async function requireRow (db: Queryable, id: string): Promise<Selectable<ClientsTable>> {
    const row = await findRow(db, id)
    if (row === undefined) throw new LatchkeyError('not_found', { message: 'There is no such client.' })
    return row
  }

  function assertKnown (scopes: readonly string[], by: Principal): void {
    try {
      assertKnownScopes(scopes, catalogue)
    } catch (cause) {
      throw isLimited(by) ? new LatchkeyError('invalid_scope', { cause }) : cause
    }
  }

  return {
    async authenticate (id, secret) {
      const row = await store.read(db => findRow(db, id))
      const known = Buffer.from(toText(row?.secret_hash), 'base64url')
      // A damaged hash matches no secret.
      const isSound = known.length === nobody.length
      return timingSafeEqual(hashSecret(secret), isSound ? known : nobody) && isSound && row !== undefined
        ? toClient(row)
        : null
    },

    async find (id) {
      const row = await store.read(db => findRow(db, id))
      return row === undefined ? null : toClient(row)
    },

    async list ({ after = '', limit = 100 } = {}) {
      const rows = await store.read(db =>
        db
          .selectFrom('clients')
          .selectAll()
          .where('id', '>', after)
          .where('id', '<', LAST_ID)
          .orderBy('id')
          .limit(limit)
          .execute()
      )
      return rows.map(toClient)
    },

    async add ({ name, scopes = [], grants = ['client_credentials'] }, by = HOST) {
      assertKnown(scopes, by)
      assertMayManage(by, scopes)
      const problem = findClientNameProblem(name)
      if (problem !== undefined) throw new LatchkeyError('invalid_request', { message: problem })
      const now = clock.now()
      const secret = createSecret()
      const row: ClientsTable = {
        // Ours, random, and in the order of the milliseconds in which they are made.
        id: CLIENT_ID_PREFIX + createId(now).replaceAll('-', ''),
        name,
        secret_hash: hashSecret(secret).toString('base64url'),
        secret_changed_at: now,
        scope: formatScope(parseScope(formatScope(scopes))),
        grants: [...new Set(grants)].sort().join(' '),
        created_at: now,
        updated_at: now
      }
      const client = toClient(row)
      await ledger.write(async ({ trx, record }) => {
        await trx.insertInto('clients').values(row).execute()
        await record({
          type: 'client_added',
          actor: by,
          subject: row.id,
          details: { name, scopes: client.scopes, grants: client.grants }
        })
      })
      return { client, secret }
    },

    async rotateSecret (id, by = HOST) {
      const secret = createSecret()
      const client = await revocations.write(async ({ trx, revoke, now, record }) => {
        const row = await requireRow(trx, id)
        assertMayManage(by, parseScope(row.scope))
        // Two changes in one millisecond are two all the same: what authenticated before the first must not pass for
        // the second.
        const changed = {
          secret_hash: hashSecret(secret).toString('base64url'),
          secret_changed_at: Math.max(now, toMoment(row.secret_changed_at) + 1),
          updated_at: now
        }
        await trx.updateTable('clients').set(changed).where('id', '=', id).execute()
        await revoke.client(id)
        await record({ type: 'client_secret_rotated', actor: by, subject: id })
        return toClient({ ...row, ...changed })
      })
      return { client, secret }
    },

    remove: (id, by = HOST) => inSteps(revocations, async write => {
      const { trx, record } = write
      const client = toClient(await requireRow(trx, id))
      assertMayManage(by, client.scopes)
      const step = await closeSessions(write, { clientId: id })
      if ('more' in step) return step
      await trx.deleteFrom('clients').where('id', '=', id).execute()
      const details = { name: client.name, sessions: step.result }
      await record({ type: 'client_removed', actor: by, subject: id, details })
      return { result: client }
    }),

    async issue (client, { scope, address } = {}) {
      const scopes = narrowScope(client.scopes, scope)
      return await ledger.write(async ({ trx, now, record }) => {
        await assertCurrent(trx, client)
        await record({
          type: 'client_token',
          actor: asClient(client.id, address ?? null),
          subject: client.id,
          clientId: client.id
        })
        return { user: { id: client.id }, sessionId: undefined, clientId: client.id, scopes, claims: {}, issuedAt: now }
      })
    }
  }
}
