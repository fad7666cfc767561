import type { LatchkeyOptions } from '../../schemas/options.js'
import { assertKnownScopes, BUILT_IN_SCOPES } from '../identity/scopes.js'

/**
 * Returns the settings of the option `registration`. Throws a TypeError if a scope is unknown or built-in. A built-in
 * scope would give anyone who registers authority over Latchkey itself.
 */
export function readRegistration (
  given: NonNullable<LatchkeyOptions['registration']>, catalogue: Readonly<Record<string, string>>
): { registration: boolean, registrationScopes: readonly string[] } {
  if (typeof given === 'boolean') return { registration: given, registrationScopes: [] }
  const option = 'Latchkey: the option registration.scopes (LATCHKEY_REGISTRATION_SCOPES)'
  const builtIn = given.scopes.find(scope => Object.hasOwn(BUILT_IN_SCOPES, scope))
  if (builtIn !== undefined) {
    throw new TypeError(
      `${option} contains the built-in scope ${builtIn}, which anyone who registers would get: it must be a list of ` +
        'scopes from the option scopes. An administrator can grant built-in scopes'
    )
  }
  try {
    assertKnownScopes(given.scopes, catalogue)
  } catch (cause) {
    throw new TypeError(`${option} is wrong: ${(cause as Error).message}`, { cause })
  }
  return { registration: true, registrationScopes: [...given.scopes] }
}
