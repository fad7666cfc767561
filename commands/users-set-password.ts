import type { Command } from 'commander'
import { COMMAND } from '../lib/ledger/events.js'
import { withLatchkey } from './context.js'
import { example, print } from './output.js'
import type { OutputOptions } from './output.js'
import { readNewPassword } from './password.js'
import { requireUser, toData } from './user.js'

/** `latchkey users set-password`. */
export function addUsersSetPassword (users: Command): void {
  users.command('set-password')
    .description('Set the password of a user and end all sessions. Asks for the password, ' +
      'or reads it from standard input up to the first line break.')
    .argument('<name>', 'the username')
    .option('--json', 'print the user as JSON')
    .addHelpText('after', example('latchkey users set-password alice < new-password.txt'))
    .action(setPassword)
}

async function setPassword (name: string, options: OutputOptions): Promise<void> {
  await withLatchkey(async (latchkey, settings) => {
    const { id } = await requireUser(latchkey, name, settings)
    const user = await latchkey.users.setPassword(id, await readNewPassword(), COMMAND)
    print(options, {
      data: toData(user),
      text: `Set the password of ${user.username}. All sessions of the user have ended.`
    })
  })
}
