import type { CookieNames, CookieSettings } from '../options/cookies.js'

/** Returns the names of the cookies as a browser gets them. Browsers accept `__Host-` only for Secure cookies. */
export function fullCookieNames (
  { cookiesSecure, cookieNames: { access, refresh } }: CookieSettings
): CookieNames {
  const prefix = cookiesSecure ? '__Host-' : ''
  return { access: prefix + access, refresh: prefix + refresh }
}
