#!/usr/bin/env node
import { readFileSync } from 'node:fs'
import { Command } from 'commander'
import { describeExitCodes } from './commands/exit-codes.js'
import { reportFailure, toFailure } from './commands/failure.js'
import { addAudit } from './commands/audit.js'
import { addClientsAdd } from './commands/clients-add.js'
import { addClientsList } from './commands/clients-list.js'
import { addClientsRemove } from './commands/clients-remove.js'
import { addClientsRotateSecret } from './commands/clients-rotate-secret.js'
import { addCopy } from './commands/copy.js'
import { addKeysImport } from './commands/keys-import.js'
import { addKeysList } from './commands/keys-list.js'
import { addKeysRevoke } from './commands/keys-revoke.js'
import { addKeysRotate } from './commands/keys-rotate.js'
import { addMigrate } from './commands/migrate.js'
import { addOpenapi } from './commands/openapi.js'
import { wantsJson } from './commands/output.js'
import { addSecretReseal } from './commands/secret-reseal.js'
import { addServe } from './commands/serve.js'
import { addSessionsRevoke } from './commands/sessions-revoke.js'
import { addUsersAdd } from './commands/users-add.js'
import { addUsersDisable } from './commands/users-disable.js'
import { addUsersEnable } from './commands/users-enable.js'
import { addUsersExport } from './commands/users-export.js'
import { addUsersImport } from './commands/users-import.js'
import { addUsersList } from './commands/users-list.js'
import { addUsersRemove } from './commands/users-remove.js'
import { addUsersSetPassword } from './commands/users-set-password.js'
import { addUsersSetScopes } from './commands/users-set-scopes.js'

const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as { version: string }

const program = new Command('latchkey')
  .description('Token authentication: the service, and what its administrator does.')
  .version(version)
  .exitOverride()
  // Errors are said in one place, below.
  .configureOutput({ outputError: () => {} })
  .addHelpText('after', `
The environment configures everything, after .env of the working directory where there is one: LATCHKEY_DATABASE,
LATCHKEY_SECRET, LATCHKEY_SCOPES, HOST, PORT and the others in the README. The verbs work while the service runs, which
honours them on its next request; give them the same environment.

${describeExitCodes()}

Example:
  $ latchkey users add --help`)

addServe(program)
const users = program.command('users').description('Add, list, change, remove, import and export users.')
addUsersAdd(users)
addUsersList(users)
addUsersSetScopes(users)
addUsersSetPassword(users)
addUsersDisable(users)
addUsersEnable(users)
addUsersRemove(users)
addUsersImport(users)
addUsersExport(users)
const clients = program.command('clients').description('Register, list and remove machine clients.')
addClientsAdd(clients)
addClientsList(clients)
addClientsRotateSecret(clients)
addClientsRemove(clients)
addSessionsRevoke(program.command('sessions').description("End users' sessions."))
const keys = program.command('keys').description('List, rotate, revoke and import the keys that access tokens are signed and verified with.')
addKeysList(keys)
addKeysRotate(keys)
addKeysRevoke(keys)
addKeysImport(keys)
addSecretReseal(program.command('secret').description('Change the secret that keys and refresh tokens depend on.'))
addAudit(program)
addMigrate(program)
addCopy(program)
addOpenapi(program)

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
