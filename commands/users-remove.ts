import type { Command } from 'commander'
import { COMMAND } from '../lib/events.js'
import { withLatchkey } from './context.js'
import { EXIT_CODES } from './exit-codes.js'
import { CommandError } from './failure.js'
import { example, print } from './output.js'
import type { OutputOptions } from './output.js'
import { confirm } from './password.js'
import { requireUser, toData } from './user.js'

/** `latchkey users remove`. */
export function addUsersRemove (users: Command): void {
  users.command('remove')
    .description('Delete a user, with every session and token.')
    .argument('<name>', 'the username')
    .option('--yes', 'do not ask; needed where there is no terminal to ask at')
    .option('--json', 'print the user as JSON')
    .addHelpText('after', example('latchkey users remove alice --yes'))
    .action(removeUser)
}

async function removeUser (name: string, options: OutputOptions & { yes?: boolean }): Promise<void> {
  if (options.yes !== true && !process.stdin.isTTY) {
    throw new CommandError('usage', 'There is no terminal to ask at: give --yes to remove the user without a question', { exitCode: EXIT_CODES.usage })
  }
  await withLatchkey(async (latchkey, settings) => {
    const { id, username } = await requireUser(latchkey, name, settings)
    if (options.yes !== true && !await confirm(`Remove ${username} for good?`)) {
      throw new CommandError('canceled', 'Canceled: nothing was removed')
    }
    const user = await latchkey.users.remove(id, COMMAND)
    print(options, { data: toData(user), text: `Removed ${user.username}; every session and token is dead.` })
  })
}
