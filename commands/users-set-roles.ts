import type { Command } from 'commander'
import { COMMAND } from '../lib/ledger/events.js'
import { withLatchkey } from './context.js'
import { example, print } from './output.js'
import type { OutputOptions } from './output.js'
import { describeGrants, requireRoles, requireUser, toData } from './user.js'

/** `latchkey users set-roles`. */
export function addUsersSetRoles (users: Command): void {
  users.command('set-roles')
    .description('Replace the roles of a user. Without roles, remove all. If a role is removed, ' +
      "the user's access tokens are invalid at once.")
    .argument('<name>', 'the username')
    .argument('[roles...]', 'all roles of the user from now on')
    .option('--json', 'print the user as JSON')
    .addHelpText('after', example('latchkey users set-roles alice editor viewer'))
    .action(setRoles)
}

async function setRoles (name: string, roles: string[], options: OutputOptions): Promise<void> {
  await withLatchkey(async (latchkey, settings) => {
    requireRoles(latchkey, roles)
    const { id } = await requireUser(latchkey, name, settings)
    const user = await latchkey.users.setRoles(id, roles, COMMAND)
    print(options, { data: toData(user), text: `${user.username} now has ${describeGrants(user)}.` })
  })
}
