import { GRANT_TYPES } from '../../schemas/grants.js'
import type { GrantTypeName } from '../../schemas/grants.js'
import type { LatchkeyOptions } from '../../schemas/options.js'

/** What an app does in its own routes, so that ours do not exist. */
export type OwnRoute = NonNullable<LatchkeyOptions['ownRoutes']>[number]

/** The settings that switch off grant types. */
interface GrantSettings {
  ownRoutes: ReadonlySet<OwnRoute>
  passwordGrant: boolean
}

/**
 * Returns the settings of the options `ownRoutes` and `passwordGrant`. If the app has its own login, the password grant
 * is off, because a client could use it to bypass that login.
 * @param isGiven - whether the app has set `passwordGrant` itself.
 */
export function readOwnRoutes (
  { ownRoutes, passwordGrant }: Required<Pick<LatchkeyOptions, 'ownRoutes' | 'passwordGrant'>>, isGiven: boolean
): GrantSettings {
  const own = new Set(ownRoutes)
  if (own.has('login') && passwordGrant && isGiven) {
    throw new TypeError(
      'Latchkey: the option passwordGrant (LATCHKEY_PASSWORD_GRANT) must be false if the option ownRoutes contains ' +
      'login, because clients could bypass your own login at POST /token'
    )
  }
  return { ownRoutes: own, passwordGrant: passwordGrant && !own.has('login') }
}

/** Returns the grant types that `POST /token` accepts. */
export function grantTypesOf ({ ownRoutes, passwordGrant }: GrantSettings): GrantTypeName[] {
  const isOn: Partial<Record<GrantTypeName, boolean>> = {
    password: passwordGrant,
    refresh_token: !ownRoutes.has('refresh')
  }
  return GRANT_TYPES.filter(name => isOn[name] ?? true)
}
