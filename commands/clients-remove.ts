import type { Command } from 'commander'
import { COMMAND } from '../lib/events.js'
import { requireClient, toData } from './client.js'
import { withLatchkey } from './context.js'
import { EXIT_CODES } from './exit-codes.js'
import { CommandError } from './failure.js'
import { example, print } from './output.js'
import type { OutputOptions } from './output.js'
import { confirm } from './password.js'

/** `latchkey clients remove`. */
export function addClientsRemove (clients: Command): void {
  clients.command('remove')
    .description('Delete a machine client, with every session and token.')
    .argument('<id>', 'the id of the client')
    .option('--yes', 'do not ask; needed where there is no terminal to ask at')
    .option('--json', 'print the client as JSON')
    .addHelpText('after', example('latchkey clients remove lkc_0198c0ffee0070008000000000000001 --yes'))
    .action(removeClient)
}

async function removeClient (id: string, options: OutputOptions & { yes?: boolean }): Promise<void> {
  if (options.yes !== true && !process.stdin.isTTY) {
    throw new CommandError('usage', 'There is no terminal to ask at: give --yes to remove the client without a question', { exitCode: EXIT_CODES.usage })
  }
  await withLatchkey(async (latchkey, settings) => {
    const { name } = await requireClient(latchkey, id, settings)
    if (options.yes !== true && !await confirm(`Remove ${name} (${id}) for good?`)) {
      throw new CommandError('canceled', 'Canceled: nothing was removed')
    }
    const client = await latchkey.clients.remove(id, COMMAND)
    print(options, { data: toData(client), text: `Removed ${client.name}; every session and token is dead.` })
  })
}
