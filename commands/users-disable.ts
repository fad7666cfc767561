import type { Command } from 'commander'
import { COMMAND } from '../lib/ledger/events.js'
import { withLatchkey } from './context.js'
import { example, print } from './output.js'
import type { OutputOptions } from './output.js'
import { requireUser, toData } from './user.js'

/** `latchkey users disable`. */
export function addUsersDisable (users: Command): void {
  users.command('disable')
    .description('Prevent a user from logging in, and end all sessions and tokens at once.')
    .argument('<name>', 'the username')
    .option('--json', 'print the user as JSON')
    .addHelpText('after', example('latchkey users disable alice'))
    .action(disableUser)
}

async function disableUser (name: string, options: OutputOptions): Promise<void> {
  await withLatchkey(async (latchkey, settings) => {
    const { id } = await requireUser(latchkey, name, settings)
    const user = await latchkey.users.disable(id, COMMAND)
    print(options, {
      data: toData(user),
      text: `Disabled ${user.username}. All sessions and tokens of the user are invalid.`
    })
  })
}
