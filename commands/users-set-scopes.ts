import type { Command } from 'commander'
import { COMMAND } from '../lib/ledger/events.js'
import { withLatchkey } from './context.js'
import { example, print } from './output.js'
import type { OutputOptions } from './output.js'
import { describeGrants, requireScopes, requireUser, toData } from './user.js'

/** `latchkey users set-scopes`. */
export function addUsersSetScopes (users: Command): void {
  users.command('set-scopes')
    .description('Replace the scopes of a user. Without scopes, remove all. If a scope is removed, ' +
      "the user's access tokens are invalid at once.")
    .argument('<name>', 'the username')
    .argument('[scopes...]', 'all scopes of the user from now on')
    .option('--json', 'print the user as JSON')
    .addHelpText('after', example('latchkey users set-scopes alice users:read audit:read'))
    .action(setScopes)
}

async function setScopes (name: string, scopes: string[], options: OutputOptions): Promise<void> {
  await withLatchkey(async (latchkey, settings) => {
    requireScopes(latchkey, scopes)
    const { id } = await requireUser(latchkey, name, settings)
    const user = await latchkey.users.setScopes(id, scopes, COMMAND)
    print(options, { data: toData(user), text: `${user.username} now has ${describeGrants(user)}.` })
  })
}
