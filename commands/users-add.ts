import type { Command } from 'commander'
import { LatchkeyError } from '../lib/errors.js'
import { COMMAND } from '../lib/ledger/events.js'
import { withLatchkey } from './context.js'
import { example, print } from './output.js'
import type { OutputOptions } from './output.js'
import { readNewPassword } from './password.js'
import { collect, describeGrants, requireRoles, requireScopes, requireUsername, toData } from './user.js'

/** `latchkey users add`. */
export function addUsersAdd (users: Command): void {
  users.command('add')
    .description('Add a user. Asks for the password, or reads it from standard input up to the first line break.')
    .argument('<name>', 'the username; letter case does not matter')
    .option('--scope <scope>', 'a scope to grant; repeatable', collect)
    .option('--role <role>', 'a role of the user; repeatable', collect)
    .option('--json', 'print the user as JSON')
    .addHelpText('after', example('latchkey users add alice --scope users:read --scope users:write'))
    .action(addUser)
}

async function addUser (
  username: string, options: OutputOptions & { scope?: string[], role?: string[] }
): Promise<void> {
  const { scope: scopes = [], role: roles = [] } = options
  await requireUsername(username)
  await withLatchkey(async latchkey => {
    requireScopes(latchkey, scopes)
    requireRoles(latchkey, roles)
    if (await latchkey.users.findByName(username) !== null) throw new LatchkeyError('username_taken')
    const user = await latchkey.users.add({ username, password: await readNewPassword(), scopes, roles }, COMMAND)
    print(options, { data: toData(user), text: `Added ${user.username} with ${describeGrants(user)}.` })
  }, { mayCreate: true })
}
