#!/usr/bin/env node
import { readFileSync } from 'node:fs'
import { Command } from 'commander'
import { describeExitCodes } from './commands/exit-codes.js'
import { reportFailure, toFailure } from './commands/failure.js'
import { wantsJson } from './commands/output.js'
import { addServe } from './commands/serve.js'

const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as { version: string }

const program = new Command('latchkey')
  .description('Token authentication: the service, and what its administrator does.')
  .version(version)
  .exitOverride()
  // Errors are said in one place, below.
  .configureOutput({ outputError: () => {} })
  .addHelpText('after', `
Environment variables configure everything, and so does a file .env in the working directory: LATCHKEY_DATABASE,
LATCHKEY_SECRET, LATCHKEY_SCOPES, HOST, PORT and others (docs/reference/environment.md). The commands work while the
service runs. It takes their changes into account on its next request. Give them the same environment.

${describeExitCodes()}

Example:
  $ latchkey users add --help`)

addServe(program)
// Thirty files that a service which starts need not wait for.
if (process.argv[2] !== 'serve') {
  const { addAdministration } = await import('./commands/administration.js')
  addAdministration(program)
}

// `latchkey users list | head` closes the pipe early, and is no error.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error
})

try {
  await program.parseAsync()
} catch (error) {
  const failure = toFailure(error)
  if (failure !== undefined) {
    reportFailure(failure, error, { json: wantsJson() })
    process.exitCode = failure.exitCode
  }
}
