import type { Command } from 'commander'
import { COMMAND } from '../lib/ledger/events.js'
import { requireYes } from './confirmation.js'
import { withLatchkey } from './context.js'
import { example, print } from './output.js'
import type { OutputOptions } from './output.js'
import { requireUser, toData } from './user.js'

/** `latchkey users remove`. */
export function addUsersRemove (users: Command): void {
  users.command('remove')
    .description('Delete a user with all sessions and tokens.')
    .argument('<name>', 'the username')
    .option('--yes', 'do not ask for confirmation; without this option, type y or pipe it in')
    .option('--json', 'print the user as JSON')
    .addHelpText('after', example('latchkey users remove alice --yes'))
    .action(removeUser)
}

async function removeUser (name: string, options: OutputOptions & { yes?: boolean }): Promise<void> {
  await withLatchkey(async (latchkey, settings) => {
    const { id, username } = await requireUser(latchkey, name, settings)
    await requireYes(options, `Remove ${username} permanently?`)
    const user = await latchkey.users.remove(id, COMMAND)
    print(options, {
      data: toData(user),
      text: `Removed ${user.username}. All sessions and tokens of the user are invalid.`
    })
  })
}
