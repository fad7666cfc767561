import type { Command } from 'commander'
import { COMMAND } from '../lib/ledger/events.js'
import { withLatchkey } from './context.js'
import { EXIT_CODES } from './exit-codes.js'
import { CommandError } from './failure.js'
import { example, print } from './output.js'
import type { OutputOptions } from './output.js'
import { requireUser } from './user.js'

/** `latchkey sessions revoke`. */
export function addSessionsRevoke (sessions: Command): void {
  sessions.command('revoke')
    .description('End all sessions and tokens of a user at once. The user can log in again.')
    .argument('<name>', 'the username')
    .option('--session <id>', 'only this session')
    .option('--json', 'print the number of ended sessions as JSON')
    .addHelpText('after', example('latchkey sessions revoke alice'))
    .action(revokeSessions)
}

async function revokeSessions (name: string, options: OutputOptions & { session?: string }): Promise<void> {
  await withLatchkey(async (latchkey, settings) => {
    const { sessions } = latchkey
    const { id, username } = await requireUser(latchkey, name, settings)
    let ended: number
    if (options.session === undefined) {
      ended = await sessions.endAll(id, COMMAND)
    } else {
      if (!await sessions.end(id, options.session, COMMAND)) {
        throw new CommandError('not_found', `${username} has no live session '${options.session}': ` +
          'nothing was changed. Without --session, all sessions end', { exitCode: EXIT_CODES.notFound })
      }
      ended = 1
    }
    print(options, {
      data: { username, ended },
      text: `Ended ${ended} ${ended === 1 ? 'session' : 'sessions'} of ${username}.`
    })
  })
}
