import { CLIENT_ID_PREFIX } from '../../schemas/clients.js'
import type { ClientGrant } from '../../schemas/grants.js'
import { LatchkeyError } from '../errors.js'
import { createId } from '../identity/ids.js'
import { assertKnownScopes, assertMayGrant, formatScope, parseScope } from '../identity/scopes.js'
import { closeSessions, inSteps } from '../revocation/session-ending.js'
import { toMoment } from '../store/columns.js'
import type { ClientsTable } from '../store/tables.js'
import { isLimited } from '../users/authority.js'
import type { Principal } from '../users/authority.js'
import type { ClientsContext } from './context.js'
import { findClientNameProblem } from './names.js'
import { requireRow, toClient } from './rows.js'
import type { Client } from './rows.js'
import { createSecret, hashSecret, NO_SECRET } from './secrets.js'
import { exclusive } from '../store/lock.js'

/** A client to add. */
export interface NewClient {
  name: string
  scopes?: readonly string[]
  grants?: readonly ClientGrant[]
}

/** A client with its new secret. */
export interface ClientWithSecret {
  client: Client
  secret: string
}

/** A client without a secret to add. It may use the grants that log users in. */
export type NewPublicClient = Omit<NewClient, 'grants'>

/** `Clients.add`. */
export async function addClient (
  context: ClientsContext, client: NewClient, by: Principal
): Promise<ClientWithSecret> {
  const secret = createSecret()
  return { client: await insertClient(context, { ...client, secretHash: hashSecret(secret) }, by), secret }
}

/** `Clients.addPublic`. */
export async function addPublicClient (
  context: ClientsContext, { name, scopes }: NewPublicClient, by: Principal
): Promise<Client> {
  return await insertClient(context, { name, scopes, grants: ['password'], secretHash: NO_SECRET }, by)
}

async function insertClient (
  { clock, ledger, catalogue }: ClientsContext,
  { name, scopes = [], grants = ['client_credentials'], secretHash }: NewClient & { secretHash: string },
  by: Principal
): Promise<Client> {
  assertKnown(catalogue, scopes, by)
  assertMayManage(by, scopes)
  const problem = findClientNameProblem(name)
  if (problem !== undefined) throw new LatchkeyError('invalid_request', { message: problem })
  const now = clock.now()
  const row: ClientsTable = {
    // Latchkey chooses the id. Ids are random, and sort by the millisecond in which they were created.
    id: CLIENT_ID_PREFIX + createId(now).replaceAll('-', ''),
    name,
    secret_hash: secretHash,
    secret_changed_at: now,
    scope: formatScope(parseScope(formatScope(scopes))),
    grants: [...new Set(grants)].sort().join(' '),
    created_at: now,
    updated_at: now
  }
  const client = toClient(row)
  await ledger.write([], async ({ trx, record }) => {
    await trx.insertInto('latchkey_clients').values(row).execute()
    await record({
      type: 'client_added',
      actor: by,
      subject: row.id,
      details: { name, scopes: client.scopes, grants: client.grants, public: client.isPublic }
    })
  })
  return client
}

/** `Clients.rotateSecret`. */
export async function rotateSecret (
  { revocations }: ClientsContext, id: string, by: Principal
): Promise<ClientWithSecret> {
  const secret = createSecret()
  const client = await revocations.write([exclusive('client', id)], async ({ trx, revoke, now, record }) => {
    const row = await requireRow(trx, id)
    assertMayManage(by, parseScope(row.scope))
    if (row.secret_hash === NO_SECRET) {
      throw new LatchkeyError('invalid_request', { message: 'This client is public and has no secret.' })
    }
    // Two changes in the same millisecond get different times, because a request that authenticated with the first
    // secret must not pass for a request with the second.
    const changed = {
      secret_hash: hashSecret(secret),
      secret_changed_at: Math.max(now, toMoment(row.secret_changed_at) + 1),
      updated_at: now
    }
    await trx.updateTable('latchkey_clients').set(changed).where('id', '=', id).execute()
    await revoke.client(id)
    await record({ type: 'client_secret_rotated', actor: by, subject: id })
    return toClient({ ...row, ...changed })
  })
  return { client, secret }
}

/** `Clients.remove`. */
export async function removeClient ({ revocations }: ClientsContext, id: string, by: Principal): Promise<Client> {
  return await inSteps(revocations, [exclusive('client', id)], async write => {
    const { trx, record } = write
    const client = toClient(await requireRow(trx, id))
    assertMayManage(by, client.scopes)
    const step = await closeSessions(write, { clientId: id })
    if ('more' in step) return step
    await trx.deleteFrom('latchkey_clients').where('id', '=', id).execute()
    const details = { name: client.name, sessions: step.result }
    await record({ type: 'client_removed', actor: by, subject: id, details })
    return { result: client }
  })
}

function assertKnown (catalogue: ClientsContext['catalogue'], scopes: readonly string[], by: Principal): void {
  try {
    assertKnownScopes(scopes, catalogue)
  } catch (cause) {
    throw isLimited(by) ? new LatchkeyError('invalid_scope', { cause }) : cause
  }
}

/**
 * Throws `insufficient_scope` if `by` is a user or a client whose token lacks a built-in scope in `scopes`. The holder
 * of a client's secret has the client's scopes, so `by` could gain scopes by managing the client.
 */
function assertMayManage (by: Principal, scopes: readonly string[]): void {
  if (isLimited(by)) assertMayGrant(by.scopes ?? [], scopes)
}
