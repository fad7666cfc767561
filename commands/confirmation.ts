import { EXIT_CODES } from './exit-codes.js'
import { CommandError } from './failure.js'
import { wantsJson } from './output.js'
import { ask, readLine } from './password.js'

/**
 * Asks for confirmation at the terminal, or reads it from standard input. Any answer other than `y` or `yes` ends the
 * command. With --yes it does not ask.
 */
export async function requireYes ({ yes }: { yes?: boolean }, question: string): Promise<void> {
  if (yes === true || /^y(es)?$/i.test((await answer(`${question} [y/N]`)).trim())) return
  throw new CommandError('canceled', 'Canceled: nothing was changed. To continue, answer y or use --yes')
}

async function answer (prompt: string): Promise<string> {
  if (process.stdin.isTTY) return await ask({ prompt })
  if (!wantsJson()) process.stderr.write(`${prompt}\n`)
  const line = await readLine()
  if (line !== '') return line
  throw new CommandError('usage', 'There is no answer on standard input: pipe y in, or use --yes', {
    exitCode: EXIT_CODES.usage
  })
}
