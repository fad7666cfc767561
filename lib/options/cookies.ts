import type { LatchkeyOptions } from '../../schemas/options.js'

/** The names of the two cookies, without the prefix that secure cookies have. */
export interface CookieNames {
  access: string
  refresh: string
}

/** The settings of the option `cookies`. */
export interface CookieSettings {
  cookiesSecure: boolean
  cookieNames: CookieNames
}

/** Returns the settings of the option `cookies`. Throws a TypeError if both cookies have one name. */
export function readCookies (
  { secure = true, accessName = 'access_token', refreshName = 'refresh_token' }: NonNullable<LatchkeyOptions['cookies']>
): CookieSettings {
  if (accessName === refreshName) {
    throw new TypeError(
      'Latchkey: the options cookies.accessName (LATCHKEY_COOKIES_ACCESS_NAME) and cookies.refreshName ' +
        `(LATCHKEY_COOKIES_REFRESH_NAME) are both ${accessName}: give each cookie a name of its own`
    )
  }
  return { cookiesSecure: secure, cookieNames: { access: accessName, refresh: refreshName } }
}
