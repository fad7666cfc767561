import type { Command } from 'commander'
import { toColumns } from './columns.js'
import { withLatchkey } from './context.js'
import { example, print } from './output.js'
import type { OutputOptions } from './output.js'
import { toData, toText } from './tokens.js'
import { requireUser } from './user.js'

/** `latchkey tokens list`. */
export function addTokensList (tokens: Command): void {
  tokens.command('list')
    .description('List the personal access tokens of a user, newest first, without their values.')
    .argument('<username>', 'the username of their owner')
    .option('--json', 'print a JSON array')
    .addHelpText('after', example('latchkey tokens list alice'))
    .action(listTokens)
}

async function listTokens (username: string, options: OutputOptions): Promise<void> {
  await withLatchkey(async (latchkey, settings) => {
    const { id } = await requireUser(latchkey, username, settings)
    const found = await latchkey.personalAccessTokens.list(id)
    const rows = found.map(({ id, name, scopes, createdAt, expiresAt, lastUsedAt }) => [
      id, name, toText(createdAt) ?? '', toText(expiresAt) ?? 'never', toText(lastUsedAt) ?? 'never', scopes.join(' ')
    ])
    print(options, {
      data: found.map(toData), text: toColumns(['ID', 'NAME', 'CREATED', 'EXPIRES', 'LAST USED', 'SCOPES'], rows)
    })
  })
}
