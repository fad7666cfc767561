import type { LatchkeyOptions, ServiceOptions } from '../schemas/options.js'
import { CommandError } from './failure.js'
import { findDistrust } from './file-trust.js'
import { warn } from './output.js'
import { printable } from './terminal.js'

/**
 * Reads the options from the environment, and from the file `.env` in the working directory if there is one. Variables
 * that are already set take precedence. The file can name the options file, which is a program, only if it belongs to
 * this user or to root. Warns about unknown variables that start with LATCHKEY_, except LATCHKEY_TEST_.
 */
export async function readEnvironment (): Promise<{ options: LatchkeyOptions, service: ServiceOptions }> {
  const { LATCHKEY_CONFIG: named } = process.env
  loadEnvFile()
  if (named === undefined && Boolean(process.env.LATCHKEY_CONFIG)) await assertTrusted()
  const { optionsFromEnvironment } = await import('../lib/options/options.js')
  const { options, service, unread } = optionsFromEnvironment(process.env)
  for (const name of unread) {
    if (!name.startsWith('LATCHKEY_TEST_')) {
      warn('unread_variable', `the variable ${printable(name)} is unknown and has no effect: check its spelling`)
    }
  }
  return { options, service }
}

async function assertTrusted (): Promise<void> {
  const distrust = await findDistrust('.env')
  if (distrust === undefined) return
  throw new CommandError(
    'invalid_env_file',
    `The file .env in the working directory sets LATCHKEY_CONFIG, but ${distrust}, ` +
      'or name the options file with --config'
  )
}

function loadEnvFile (): void {
  try {
    process.loadEnvFile()
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException
    if (code === 'ENOENT') return
    throw new CommandError(
      'invalid_env_file',
      `The file .env in the working directory cannot be read (${message}): fix or remove it`,
      { cause }
    )
  }
}
