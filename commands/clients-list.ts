import type { Command } from 'commander'
import type { Client, Clients } from '../lib/clients/clients.js'
import { toData } from './client.js'
import { toColumns } from './columns.js'
import { withLatchkey } from './context.js'
import { example, print } from './output.js'
import type { OutputOptions } from './output.js'

const PAGE = 500

/** `latchkey clients list`. */
export function addClientsList (clients: Command): void {
  clients.command('list')
    .description('List the machine clients, oldest first, without their secrets.')
    .option('--json', 'print a JSON array')
    .addHelpText('after', example('latchkey clients list'))
    .action(listClients)
}

async function listClients (options: OutputOptions): Promise<void> {
  await withLatchkey(async ({ clients }) => {
    const found = await readAll(clients)
    const rows = found.map(client => [
      client.id,
      client.name,
      new Date(client.createdAt).toISOString(),
      client.isPublic ? 'public' : 'secret',
      client.grants.join(' '),
      client.scopes.join(' ')
    ])
    const columns = ['ID', 'NAME', 'CREATED', 'TYPE', 'GRANTS', 'SCOPES']
    print(options, { data: found.map(toData), text: toColumns(columns, rows) })
  })
}

async function readAll (clients: Clients): Promise<Client[]> {
  const found: Client[] = []
  for (;;) {
    const page = await clients.list({ after: found.at(-1)?.id, limit: PAGE })
    found.push(...page)
    if (page.length < PAGE) return found
  }
}
