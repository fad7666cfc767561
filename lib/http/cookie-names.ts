import type { CookieNames } from '../options/cookies.js'
import type { Settings } from '../options/options.js'

/** Returns the names of the cookies as a browser gets them. Browsers accept `__Host-` only for Secure cookies. */
export function fullCookieNames (
  { cookiesSecure, cookieNames: { access, refresh } }: Pick<Settings, 'cookiesSecure' | 'cookieNames'>
): CookieNames {
  const prefix = cookiesSecure ? '__Host-' : ''
  return { access: prefix + access, refresh: prefix + refresh }
}
