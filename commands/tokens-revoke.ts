import type { Command } from 'commander'
import { LatchkeyError } from '../lib/errors.js'
import { COMMAND } from '../lib/ledger/events.js'
import { describeDatabase } from '../lib/store/engines.js'
import { withLatchkey } from './context.js'
import { EXIT_CODES } from './exit-codes.js'
import { CommandError } from './failure.js'
import { example, print } from './output.js'
import type { OutputOptions } from './output.js'
import { toData } from './tokens.js'

/** `latchkey tokens revoke`. */
export function addTokensRevoke (tokens: Command): void {
  tokens.command('revoke')
    .description('Revoke a personal access token, at once and on every node.')
    .argument('<id>', 'the id of the token')
    .option('--json', 'print the token as JSON')
    .addHelpText('after', example('latchkey tokens revoke 0199c2a4-03c8-7f6e-8d21-5b9a0c4e7f32'))
    .action(revokeToken)
}

async function revokeToken (id: string, options: OutputOptions): Promise<void> {
  await withLatchkey(async ({ personalAccessTokens }, { database }) => {
    const token = await personalAccessTokens.revoke(id, { by: COMMAND }).catch(cause => {
      throw isNotFound(cause) ? noSuchToken(id, database) : cause
    })
    print(options, { data: toData(token), text: `Revoked ${token.name} (${id}).` })
  })
}

function isNotFound (error: unknown): boolean {
  return error instanceof LatchkeyError && error.code === 'not_found'
}

function noSuchToken (id: string, database: string): CommandError {
  return new CommandError(
    'not_found',
    `There is no personal access token '${id}' in ${describeDatabase(database)}: ` +
      "'latchkey tokens list' lists those of a user",
    { exitCode: EXIT_CODES.notFound }
  )
}
