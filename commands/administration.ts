import type { Command } from 'commander'
import { addAudit } from './audit.js'
import { addClientsAdd } from './clients-add.js'
import { addClientsList } from './clients-list.js'
import { addClientsRemove } from './clients-remove.js'
import { addClientsRotateSecret } from './clients-rotate-secret.js'
import { addCopy } from './copy.js'
import { addKeysImport } from './keys-import.js'
import { addKeysList } from './keys-list.js'
import { addKeysRevoke } from './keys-revoke.js'
import { addKeysRotate } from './keys-rotate.js'
import { addMigrate } from './migrate.js'
import { addOpenapi } from './openapi.js'
import { addSecretReseal } from './secret-reseal.js'
import { addSessionsRevoke } from './sessions-revoke.js'
import { addSettingsForget } from './settings-forget.js'
import { addSettingsList } from './settings-list.js'
import { addTokensAdd } from './tokens-add.js'
import { addTokensList } from './tokens-list.js'
import { addTokensRevoke } from './tokens-revoke.js'
import { addUsersAdd } from './users-add.js'
import { addUsersDisable } from './users-disable.js'
import { addUsersEnable } from './users-enable.js'
import { addUsersExport } from './users-export.js'
import { addUsersImport } from './users-import.js'
import { addUsersList } from './users-list.js'
import { addUsersRemove } from './users-remove.js'
import { addUsersRename } from './users-rename.js'
import { addUsersSetPassword } from './users-set-password.js'
import { addUsersSetRoles } from './users-set-roles.js'
import { addUsersSetScopes } from './users-set-scopes.js'

/** Adds all commands except `serve`. */
export function addAdministration (program: Command): void {
  const users = program.command('users').description('Add, list, change, remove, import and export users.')
  addUsersAdd(users)
  addUsersList(users)
  addUsersRename(users)
  addUsersSetScopes(users)
  addUsersSetRoles(users)
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
  addSessionsRevoke(program.command('sessions').description('End the sessions of users.'))
  const tokens = program.command('tokens').description('Add, list and revoke the personal access tokens of users.')
  addTokensAdd(tokens)
  addTokensList(tokens)
  addTokensRevoke(tokens)
  const keys = program
    .command('keys')
    .description('List, rotate, revoke and import the keys that sign and verify access tokens.')
  addKeysList(keys)
  addKeysRotate(keys)
  addKeysRevoke(keys)
  addKeysImport(keys)
  addSecretReseal(program.command('secret').description('Change the secret that keys and refresh tokens depend on.'))
  const settings = program.command('settings').description('List and forget the settings that all nodes must share.')
  addSettingsList(settings)
  addSettingsForget(settings)
  addAudit(program)
  addMigrate(program)
  addCopy(program)
  addOpenapi(program)
}
