import type { Latchkey } from '../lib/latchkey.js'
import type { Settings } from '../lib/options/options.js'
import { assertKnownRoles } from '../lib/identity/roles.js'
import { assertKnownScopes } from '../lib/identity/scopes.js'
import type { StoredUser } from '../lib/users/users.js'
import { describeDatabase } from '../lib/store/engines.js'
import { EXIT_CODES } from './exit-codes.js'
import { CommandError } from './failure.js'

/** Rejects a name that is not allowed for a new user. */
export async function requireUsername (name: string): Promise<void> {
  const { findUsernameProblem } = await import('../lib/identity/usernames.js')
  const problem = findUsernameProblem(name)
  if (problem === undefined) return
  const message = problem.replace(/\.$/, ': choose another one')
  throw new CommandError('invalid_username', message, { exitCode: EXIT_CODES.usage })
}

/** Collects the values of a repeatable option. */
export function collect (text: string, before: string[] = []): string[] {
  return [...before, text]
}

/** Returns the user with this name. */
export async function requireUser ({ users }: Latchkey, name: string, { database }: Settings): Promise<StoredUser> {
  const user = await users.findByName(name)
  if (user !== null) return user
  throw new CommandError(
    'not_found',
    `There is no user '${name}' in ${describeDatabase(database)}: 'latchkey users list' lists all users`,
    { exitCode: EXIT_CODES.notFound }
  )
}

/** Rejects unknown scopes, before the command asks for a password. */
export function requireScopes ({ scopes: catalogue }: Latchkey, scopes: readonly string[]): void {
  try {
    assertKnownScopes(scopes, catalogue)
  } catch (cause) {
    throw new CommandError('unknown_scope', (cause as RangeError).message, { cause })
  }
}

/** Rejects unknown roles. */
export function requireRoles ({ roles: definitions }: Latchkey, roles: readonly string[]): void {
  try {
    assertKnownRoles(roles, definitions)
  } catch (cause) {
    throw new CommandError('unknown_role', (cause as RangeError).message, { cause })
  }
}

/** A user as `--json` prints it. */
export function toData ({ id, username, ownScopes: scopes, roles, disabled, createdAt }: StoredUser): object {
  return { id, username, scopes, roles, disabled, created_at: new Date(createdAt).toISOString() }
}

/** Describes the scopes that were granted to a user, and the roles. */
export function describeGrants ({ ownScopes: scopes, roles }: StoredUser): string {
  const granted = scopes.length === 0 ? 'no scopes' : `the scopes ${scopes.join(', ')}`
  return roles.length === 0 ? granted : `${granted} and the roles ${roles.join(', ')}`
}
