import type { Command } from 'commander'
import { COMMAND } from '../lib/ledger/events.js'
import { requireClient, toData } from './client.js'
import { requireYes } from './confirmation.js'
import { withLatchkey } from './context.js'
import { example, print } from './output.js'
import type { OutputOptions } from './output.js'

/** `latchkey clients remove`. */
export function addClientsRemove (clients: Command): void {
  clients.command('remove')
    .description('Delete a machine client with all its sessions and tokens.')
    .argument('<id>', 'the id of the client')
    .option('--yes', 'do not ask for confirmation; without this option, type y or pipe it in')
    .option('--json', 'print the client as JSON')
    .addHelpText('after', example('latchkey clients remove lkc_0198c0ffee0070008000000000000001 --yes'))
    .action(removeClient)
}

async function removeClient (id: string, options: OutputOptions & { yes?: boolean }): Promise<void> {
  await withLatchkey(async (latchkey, settings) => {
    const { name } = await requireClient(latchkey, id, settings)
    await requireYes(options, `Remove ${name} (${id}) permanently?`)
    const client = await latchkey.clients.remove(id, COMMAND)
    print(options, { data: toData(client), text: `Removed ${client.name}. All its sessions and tokens are invalid.` })
  })
}
