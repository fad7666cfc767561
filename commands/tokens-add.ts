import { InvalidArgumentError } from 'commander'
import type { Command } from 'commander'
import { COMMAND } from '../lib/ledger/events.js'
import { withLatchkey } from './context.js'
import { example, print } from './output.js'
import type { OutputOptions } from './output.js'
import { toData } from './tokens.js'
import { collect, requireScopes, requireUser } from './user.js'

/** `latchkey tokens add`. */
export function addTokensAdd (tokens: Command): void {
  tokens.command('add')
    .description('Create a personal access token for a user, and print its value.')
    .argument('<username>', 'the username of its owner')
    .requiredOption('--name <name>', 'the name of the token, for example the program that uses it')
    .option('--scope <scope>', 'one of the scopes of the user; repeatable', collect)
    .option('--expires-in <duration>', 'its lifetime, for example 90d; without this option it does not expire')
    .option('--json', 'print the token as JSON, with its value')
    .addHelpText('after', example('latchkey tokens add alice --name backup --scope items:read --expires-in 90d'))
    .action(addToken)
}

async function addToken (
  username: string, options: OutputOptions & { name: string, scope?: string[], expiresIn?: string }
): Promise<void> {
  const { name, scope: scopes = [] } = options
  const expiresIn = options.expiresIn === undefined ? undefined : await readLifetime(options.expiresIn)
  await withLatchkey(async (latchkey, settings) => {
    requireScopes(latchkey, scopes)
    const user = await requireUser(latchkey, username, settings)
    const { value, token } = await latchkey.personalAccessTokens.create(user.id, { name, scopes, expiresIn }, COMMAND)
    print(options, {
      data: { ...toData(token), value },
      text: `id:    ${token.id}\nvalue: ${value}\nCopy the value now. It is not shown again, because only its ` +
        'hash is stored.'
    })
  })
}

/** Returns the seconds of a duration. */
async function readLifetime (text: string): Promise<number> {
  const [{ readDuration }, { LONGEST_LIFETIME }] = await Promise.all([
    import('../lib/options/durations.js'), import('../schemas/keys.js')
  ])
  const seconds = Math.floor((readDuration(text) ?? 0) / 1_000)
  if (seconds >= 1 && seconds <= LONGEST_LIFETIME) return seconds
  throw new InvalidArgumentError(
    `--expires-in is '${text}': it must be a duration from 1s to ${LONGEST_LIFETIME / 86_400}d, for example 90d`
  )
}
