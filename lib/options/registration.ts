import type { LatchkeyOptions } from '../../schemas/options.js'
import { assertKnownScopes, BUILT_IN_SCOPES } from '../identity/scopes.js'

/**
 * Returns the settings of the option `registration`. Throws a TypeError for a scope that is unknown or built-in,
 * because anyone who registers would have authority over Latchkey itself.
 */
export function readRegistration (
  given: NonNullable<LatchkeyOptions['registration']>, catalogue: Readonly<Record<string, string>>
): { registration: boolean, registrationScopes: readonly string[] } {
  if (typeof given === 'boolean') return { registration: given, registrationScopes: [] }
  const option = 'Latchkey: the option registration.scopes (LATCHKEY_REGISTRATION_SCOPES)'
  const builtIn = given.scopes.find(scope => Object.hasOwn(BUILT_IN_SCOPES, scope))
  if (builtIn !== undefined) {
    throw new TypeError(
      `${option} has the built-in scope ${builtIn}, which anyone would get who registers: it must be a list of ` +
        'scopes of the option scopes. An administrator can grant built-in scopes'
    )
  }
  try {
    assertKnownScopes(given.scopes, catalogue)
  } catch (cause) {
    throw new TypeError(`${option} is wrong: ${(cause as Error).message}`, { cause })
  }
  return { registration: true, registrationScopes: [...given.scopes] }
}
