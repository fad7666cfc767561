import { asClient, HOST } from '../ledger/events.js'
import { narrowScope } from '../identity/scopes.js'
import type { AccessGrant } from '../tokens/tokens.js'
import type { Principal } from '../users/authority.js'
import type { ClientsContext } from './context.js'
import { addClient, addPublicClient, removeClient, rotateSecret } from './management.js'
import type { ClientWithSecret, NewClient, NewPublicClient } from './management.js'
import { assertCurrent, findRow, listClients, toClient } from './rows.js'
import type { Client, ClientListQuery } from './rows.js'
import { matchesHash } from './secrets.js'
import { shared } from '../store/lock.js'

export type { Client } from './rows.js'

/** A request of a client for an access token of its own. */
interface ClientTokenRequest {
  scope?: string
  address?: string
}

/**
 * The registered machine clients. A call that takes rights away kills the tokens that carry them before its promise
 * resolves.
 *
 * A user or a client (`by`) that adds, changes or removes a client gets `insufficient_scope` if that client has
 * built-in scopes that the token of `by` lacks (see `assertMayGrant`). The command line and the host app may manage all
 * clients.
 */
export interface Clients {
  /** Returns the client, or null. It takes the same time whether the id or the secret is wrong. */
  authenticate (id: string, secret: string): Promise<Client | null>
  /** Returns the client with this id, or null. */
  find (id: string): Promise<Client | null>
  /** Lists clients, oldest first. */
  list (page?: ClientListQuery): Promise<Client[]>
  /**
   * Adds a client and returns its secret, which cannot be read again. An unknown scope throws `invalid_scope` if `by`
   * is a user or a client, otherwise a RangeError. A bad name throws `invalid_request`.
   */
  add (client: NewClient, by?: Principal): Promise<ClientWithSecret>
  /**
   * Adds a client without a secret: RFC 6749 section 2.1. It can log users in and refresh their sessions, and nothing
   * else. Throws as `add` does.
   */
  addPublic (client: NewPublicClient, by?: Principal): Promise<Client>
  /**
   * Replaces the secret. The old secret and all access tokens issued before are dead. Sessions continue, and are
   * refreshed with the new secret. Throws `not_found`, or `invalid_request` if the client is public.
   */
  rotateSecret (id: string, by?: Principal): Promise<ClientWithSecret>
  /** Deletes the client with all its sessions and tokens. Throws `not_found`. */
  remove (id: string, by?: Principal): Promise<Client>
  /**
   * Returns the grant for an access token of the client's own: RFC 6749 section 4.4. Throws `invalid_scope`, or
   * `invalid_client` if the client was removed or got a new secret since it authenticated.
   */
  issue (client: Client, request?: ClientTokenRequest): Promise<AccessGrant>
}

/** Creates the registered clients. */
export function createClients (context: ClientsContext): Clients {
  const { store } = context
  return {
    async authenticate (id, secret) {
      const row = await store.read(db => findRow(db, id))
      return matchesHash(secret, row?.secret_hash) && row !== undefined ? toClient(row) : null
    },

    async find (id) {
      const row = await store.read(db => findRow(db, id))
      return row === undefined ? null : toClient(row)
    },

    list: async (page = {}) => await store.read(db => listClients(db, page)),
    add: (client, by = HOST) => addClient(context, client, by),
    addPublic: (client, by = HOST) => addPublicClient(context, client, by),
    rotateSecret: (id, by = HOST) => rotateSecret(context, id, by),
    remove: (id, by = HOST) => removeClient(context, id, by),
    issue: (client, request = {}) => issueToken(context, client, request)
  }
}

/** `Clients.issue`. */
async function issueToken (
  { ledger, revocations }: ClientsContext, client: Client, { scope, address }: ClientTokenRequest
): Promise<AccessGrant> {
  const scopes = narrowScope(client.scopes, scope)
  const clearFrom = revocations.clearFrom({ userId: client.id, clientId: client.id })
  return await ledger.write([shared('client', client.id)], async ({ trx, now, record }) => {
    await assertCurrent(trx, client)
    await record({
      type: 'client_token',
      actor: asClient(client.id, address ?? null),
      subject: client.id,
      clientId: client.id
    })
    const issuedAt = Math.max(now, clearFrom)
    return { user: { id: client.id }, sessionId: undefined, clientId: client.id, scopes, claims: {}, issuedAt }
  })
}
