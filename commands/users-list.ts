import type { Command } from 'commander'
import type { StoredUser, Users } from '../lib/users/users.js'
import { toColumns } from './columns.js'
import { withLatchkey } from './context.js'
import { example, parseCount, print } from './output.js'
import type { OutputOptions } from './output.js'
import { toData } from './user.js'

const PAGE = 500

/** `latchkey users list`. */
export function addUsersList (users: Command): void {
  users.command('list')
    .description('List the users by name.')
    .option('--limit <count>', 'the maximum number of users; default: all', parseCount)
    .option('--json', 'print a JSON array')
    .addHelpText('after', example('latchkey users list --limit 20'))
    .action(listUsers)
}

async function listUsers (options: OutputOptions & { limit?: number }): Promise<void> {
  await withLatchkey(async ({ users }) => {
    const found = await readAll(users, options.limit ?? Infinity)
    const rows = found.map(user => [
      user.username,
      user.disabled ? 'disabled' : 'enabled',
      new Date(user.createdAt).toISOString(),
      user.id,
      user.roles.join(' '),
      user.ownScopes.join(' ')
    ])
    const text = toColumns(['NAME', 'STATE', 'CREATED', 'ID', 'ROLES', 'SCOPES'], rows)
    print(options, { data: found.map(toData), text })
  })
}

async function readAll (users: Users, limit: number): Promise<StoredUser[]> {
  const found: StoredUser[] = []
  for (;;) {
    const size = Math.min(PAGE, limit - found.length)
    const page = await users.list({ after: found.at(-1)?.username, limit: size })
    found.push(...page)
    if (page.length < size || found.length === limit) return found
  }
}
