import type { Client } from '../lib/clients/clients.js'
import type { Latchkey } from '../lib/latchkey.js'
import type { Settings } from '../lib/options/options.js'
import { describeDatabase } from '../lib/store/engines.js'
import { EXIT_CODES } from './exit-codes.js'
import { CommandError } from './failure.js'

/** Returns the client with this id. */
export async function requireClient ({ clients }: Latchkey, id: string, { database }: Settings): Promise<Client> {
  const client = await clients.find(id)
  if (client !== null) return client
  throw new CommandError(
    'not_found',
    `There is no client '${id}' in ${describeDatabase(database)}: 'latchkey clients list' lists all clients`,
    { exitCode: EXIT_CODES.notFound }
  )
}

/** A client as `--json` prints it. */
export function toData ({ id, name, scopes, grants, isPublic, createdAt, secretChangedAt }: Client): object {
  return {
    id,
    name,
    scopes,
    grants,
    public: isPublic,
    created_at: new Date(createdAt).toISOString(),
    secret_changed_at: new Date(secretChangedAt).toISOString()
  }
}

/** The id and secret of a client, in words. */
export function describeSecret ({ id }: Client, secret: string): string {
  return `client_id:     ${id}\nclient_secret: ${secret}\nCopy the secret now. It is not shown again, ` +
    'because only its hash is stored.'
}
