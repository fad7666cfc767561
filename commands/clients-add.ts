import { InvalidArgumentError } from 'commander'
import type { Command } from 'commander'
import { COMMAND } from '../lib/ledger/events.js'
import type { ClientGrant } from '../schemas/grants.js'
import { describeSecret, toData } from './client.js'
import { withLatchkey } from './context.js'
import { EXIT_CODES } from './exit-codes.js'
import { CommandError } from './failure.js'
import { example, print } from './output.js'
import type { OutputOptions } from './output.js'
import { collect, requireScopes } from './user.js'

/** `latchkey clients add`. */
export function addClientsAdd (clients: Command): void {
  clients
    .command('add')
    .description('Register a client, and print its id and its secret.')
    .argument('<name>', 'a display name')
    .option('--scope <scope>', 'a scope to grant; repeatable', collect)
    .option(
      '--grant <grant>',
      'a grant type that it may use at POST /token: client_credentials (default) or password; repeatable',
      collect
    )
    .option(
      '--public', 'give it no secret, for a page or an app that logs users in; it can use only the grant password'
    )
    .option('--json', 'print the client as JSON, with its secret')
    .addHelpText('after', example('latchkey clients add billing --scope tokens:introspect'))
    .action(addClient)
}

async function addClient (
  name: string,
  options: OutputOptions & { scope?: string[], grant?: string[], public?: boolean }
): Promise<void> {
  const { scope: scopes = [], grant, public: isPublic = false } = options
  await requireName(name)
  const grants = grant === undefined ? undefined : await readGrants(grant)
  if (isPublic && grants?.some(name => name !== 'password') === true) {
    throw new InvalidArgumentError('A client that is --public may use only --grant password')
  }
  await withLatchkey(async latchkey => {
    requireScopes(latchkey, scopes)
    if (isPublic) {
      const client = await latchkey.clients.addPublic({ name, scopes }, COMMAND)
      return print(options, { data: toData(client), text: `client_id: ${client.id}` })
    }
    const { client, secret } = await latchkey.clients.add({ name, scopes, grants }, COMMAND)
    print(options, { data: { ...toData(client), secret }, text: describeSecret(client, secret) })
  }, { mayCreate: true })
}

async function readGrants (names: readonly string[]): Promise<ClientGrant[]> {
  const { CLIENT_GRANTS } = await import('../schemas/grants.js')
  return names.map(name => {
    const grant = CLIENT_GRANTS.find(known => known === name)
    if (grant === undefined) {
      throw new InvalidArgumentError(`There is no grant type '${name}'. Choose from: ${CLIENT_GRANTS.join(', ')}`)
    }
    return grant
  })
}

/** Rejects a name that the routes would reject. */
async function requireName (name: string): Promise<void> {
  const { findClientNameProblem } = await import('../lib/clients/names.js')
  const problem = findClientNameProblem(name)
  if (problem === undefined) return
  throw new CommandError('invalid_name', problem.replace(/\.$/, ': choose another one'), { exitCode: EXIT_CODES.usage })
}
