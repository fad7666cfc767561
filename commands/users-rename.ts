import type { Command } from 'commander'
import { COMMAND } from '../lib/ledger/events.js'
import { withLatchkey } from './context.js'
import { example, print } from './output.js'
import type { OutputOptions } from './output.js'
import { requireUser, requireUsername, toData } from './user.js'

/** `latchkey users rename`. */
export function addUsersRename (users: Command): void {
  users.command('rename')
    .description('Change the username of a user. The id, the password and the sessions stay.')
    .argument('<name>', 'the username')
    .argument('<new-name>', 'the new username')
    .option('--json', 'print the user as JSON')
    .addHelpText('after', example('latchkey users rename alice alice@example.com'))
    .action(rename)
}

async function rename (name: string, username: string, options: OutputOptions): Promise<void> {
  await requireUsername(username)
  await withLatchkey(async (latchkey, settings) => {
    const { id, username: before } = await requireUser(latchkey, name, settings)
    const user = await latchkey.users.update(id, { username }, COMMAND)
    print(options, { data: toData(user), text: `Renamed ${before} to ${user.username}.` })
  })
}
