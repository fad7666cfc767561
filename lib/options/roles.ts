import type { LatchkeyOptions } from '../../schemas/options.js'
import { MAX_ROLE_LENGTH, MAX_ROLES, MAX_SCOPES, SCOPE_PATTERN } from '../../schemas/common.js'
import type { RoleDefinitions } from '../identity/roles.js'
import { assertKnownScopes, formatScope, parseScope } from '../identity/scopes.js'
import { show } from './check.js'

const OPTION = 'Latchkey: the option roles (LATCHKEY_ROLES)'

const NAME = new RegExp(SCOPE_PATTERN)

/** Returns the scopes of each role. Throws a TypeError that names the role and the legal values. */
export function readRoles (
  given: NonNullable<LatchkeyOptions['roles']>, catalogue: Readonly<Record<string, string>>
): RoleDefinitions {
  const roles = Object.entries(given)
  if (roles.length > MAX_ROLES) {
    throw new TypeError(`${OPTION} has ${roles.length} roles: it must have at most ${MAX_ROLES}`)
  }
  return Object.freeze(Object.fromEntries(roles.map(([name, scopes]) => [name, readRole(name, scopes, catalogue)])))
}

function readRole (name: string, scopes: unknown, catalogue: Readonly<Record<string, string>>): readonly string[] {
  if (!NAME.test(name) || name.length > MAX_ROLE_LENGTH) {
    throw new TypeError(
      `${OPTION} has the role ${show(name)}: a name must have 1 to ${MAX_ROLE_LENGTH} characters of printable ASCII ` +
      'without spaces, double quotes or backslashes'
    )
  }
  const isList = Array.isArray(scopes) && scopes.every(scope => typeof scope === 'string')
  if (!isList || scopes.length > MAX_SCOPES) {
    throw new TypeError(`${OPTION} is wrong: the role ${name} must be a list of at most ${MAX_SCOPES} scopes`)
  }
  try {
    assertKnownScopes(scopes, catalogue)
  } catch (cause) {
    throw new TypeError(`${OPTION} gives the role ${name} a wrong scope. ${(cause as Error).message}`, { cause })
  }
  return Object.freeze(parseScope(formatScope(scopes)))
}

/** Reads roles from text such as `editor=items:read items:write,viewer=items:read`. Throws a TypeError. */
export function rolesFromText (items: readonly string[]): Record<string, readonly string[]> {
  const roles = new Map<string, string[]>()
  for (const item of items) {
    const [, name = '', scopes] = /^([^=]*)=(.*)$/s.exec(item) ?? []
    if (scopes === undefined) {
      throw new TypeError(
        `${OPTION} contains ${show(item)}: it must list roles with their scopes, ` +
        'for example editor=items:read items:write,viewer=items:read'
      )
    }
    if (roles.has(name.trim())) throw new TypeError(`${OPTION} contains the role ${name.trim()} twice: name it once`)
    roles.set(name.trim(), parseScope(scopes))
  }
  return Object.fromEntries(roles)
}
