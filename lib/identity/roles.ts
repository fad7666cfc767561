import type { User } from '../../schemas/host.js'
import { parseScope } from './scopes.js'

/** The scopes of each role, sorted (option `roles`). */
export type RoleDefinitions = Readonly<Record<string, readonly string[]>>

/** Splits a column of role names, as `parseScope` does. */
export const parseRoles = parseScope

/** Returns the roles that exist. An account may still hold a role that was removed from the option. */
export function knownRoles (names: readonly string[], definitions: RoleDefinitions): string[] {
  return names.filter(name => Object.hasOwn(definitions, name))
}

/** Returns the scopes of an account, sorted: its own and those of its roles. A role that does not exist has none. */
export function expandRoles (
  { scopes, roles = [] }: Pick<User, 'scopes' | 'roles'>, definitions: RoleDefinitions
): string[] {
  const ofRoles = knownRoles(roles, definitions).flatMap(name => definitions[name] ?? [])
  return [...new Set([...scopes, ...ofRoles])].sort()
}

/** Throws a RangeError that names the first unknown role and lists the known ones. */
export function assertKnownRoles (roles: readonly string[], definitions: RoleDefinitions): void {
  const unknown = roles.find(role => !Object.hasOwn(definitions, role))
  if (unknown === undefined) return
  const known = Object.keys(definitions)
  throw new RangeError(
    `Unknown role '${unknown}': ${known.length === 0 ? 'there are no roles' : `the roles are ${known.join(', ')}`}; ` +
    'add it through the option roles (LATCHKEY_ROLES)'
  )
}
