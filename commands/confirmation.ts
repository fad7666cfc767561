import { EXIT_CODES } from './exit-codes.js'
import { CommandError } from './failure.js'
import { wantsJson } from './output.js'
import { ask, readLine } from './password.js'

/** Asks whether to go on, at the terminal or else on standard input; only `y` and `yes` are a yes, and anything else ends the verb. With --yes it does not ask. */
export async function requireYes ({ yes }: { yes?: boolean }, question: string): Promise<void> {
  if (yes === true || /^y(es)?$/i.test((await answer(`${question} [y/N]`)).trim())) return
  throw new CommandError('canceled', 'Canceled: nothing was changed; only y, or --yes, goes on')
}

async function answer (prompt: string): Promise<string> {
  if (process.stdin.isTTY) return await ask({ prompt })
  if (!wantsJson()) process.stderr.write(`${prompt}\n`)
  const line = await readLine()
  if (line !== '') return line
  throw new CommandError('usage', 'There is no answer on standard input: pipe y in, or give --yes', { exitCode: EXIT_CODES.usage })
}
