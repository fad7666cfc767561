import type { LatchkeyOptions, ServiceOptions } from '../schemas/options.js'
import { CommandError } from './failure.js'
import { warn } from './output.js'

/**
 * The options that the environment gives, after `.env` of the working directory where there is one: variables that are already
 * set win. Names that look like ours and are not read are warned about, but for those of the tests.
 */
export async function readEnvironment (): Promise<{ options: LatchkeyOptions, service: ServiceOptions }> {
  loadEnvFile()
  const { optionsFromEnvironment } = await import('../lib/options/options.js')
  const { options, service, unread } = optionsFromEnvironment(process.env)
  for (const name of unread) {
    if (!name.startsWith('LATCHKEY_TEST_')) warn('unread_variable', `the variable ${name} is not read by anything: look for a misspelling`)
  }
  return { options, service }
}

function loadEnvFile (): void {
  try {
    process.loadEnvFile()
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException
    if (code === 'ENOENT') return
    throw new CommandError('invalid_env_file', `The file .env in the working directory cannot be read (${message}): repair or remove it`, { cause })
  }
}
