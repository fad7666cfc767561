import type { Command } from 'commander'
import { COMMAND } from '../lib/ledger/events.js'
import { withLatchkey } from './context.js'
import { example, print } from './output.js'
import type { OutputOptions } from './output.js'
import { requireUser, toData } from './user.js'

/** `latchkey users enable`. */
export function addUsersEnable (users: Command): void {
  users.command('enable')
    .description('Let a disabled user log in again. Ended sessions and tokens stay ended.')
    .argument('<name>', 'the username')
    .option('--json', 'print the user as JSON')
    .addHelpText('after', example('latchkey users enable alice'))
    .action(enableUser)
}

async function enableUser (name: string, options: OutputOptions): Promise<void> {
  await withLatchkey(async (latchkey, settings) => {
    const { id } = await requireUser(latchkey, name, settings)
    const user = await latchkey.users.enable(id, COMMAND)
    print(options, { data: toData(user), text: `Enabled ${user.username}.` })
  })
}
