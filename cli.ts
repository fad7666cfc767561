#!/usr/bin/env node
import { readFileSync } from 'node:fs'
import { Command } from 'commander'
import { describeExitCodes } from './commands/exit-codes.js'
import { reportFailure, toFailure } from './commands/failure.js'
import { wantsJson } from './commands/output.js'
import { addServe } from './commands/serve.js'

const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as { version: string }

const program = new Command('latchkey')
  .description('Token authentication: run the service and administer it.')
  .version(version)
  .option('--config <file>', 'the options file; default: latchkey.config.js (.mjs, .cjs, .ts) in the working directory')
  .on('option:config', (file: string) => { process.env.LATCHKEY_CONFIG = file })
  .exitOverride()
  // Errors are printed in one place, below.
  .configureOutput({ outputError: () => {} })
  .addHelpText('after', `
Put the options of the plugin into latchkey.config.js (docs/command-line.md). Environment variables take precedence:
LATCHKEY_DATABASE, LATCHKEY_SECRET, LATCHKEY_SCOPES, HOST, PORT and others (docs/reference/environment.md), which a file
.env in the working directory can contain. Give the commands the same configuration as the service. They also work while
it runs, and their changes apply from its next request.

${describeExitCodes()}

Example:
  $ latchkey users add --help`)

addServe(program)
// Only load these thirty files if needed, so that the service starts faster.
if (process.argv[2] !== 'serve') {
  const { addAdministration } = await import('./commands/administration.js')
  addAdministration(program)
}

// `latchkey users list | head` closes the pipe early, which is not an error.
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
