import { Type } from 'typebox'

// A few centuries at most, because a time after the last valid Date cannot be formatted.
export const DURATION_PATTERN = '^[1-9]([0-9]{0,8}(ms|s)|[0-9]{0,6}m|[0-9]{0,5}h|[0-9]{0,4}d)$'

export const Duration = (description: string, byDefault: string, env: string) => Type.Optional(Type.String({
  pattern: DURATION_PATTERN,
  description,
  default: byDefault,
  env,
  expects: 'a duration such as 900s, 15m or 30d'
}))

/** Schemes that are never custom schemes of an app. An origin that uses one of them here is a mistake. */
const NOT_OF_APPS = ['https?', 'wss?', 'ftp', 'file']

/**
 * The origin of a web page, or of an app whose pages have their own scheme: `capacitor://localhost`,
 * `chrome-extension://ID`. A wildcard or `null` would match pages of strangers, because any sandboxed frame has the
 * origin `null`.
 */
export const Origin = Type.String({
  pattern: '^(https?://([A-Za-z0-9-]+(\\.[A-Za-z0-9-]+)*|\\[[0-9A-Fa-f:.]+\\])(:[0-9]{1,5})?' +
    `|(?!(${NOT_OF_APPS.join('|')}):)[a-z][a-z0-9+.-]*://[A-Za-z0-9._-]+(:[0-9]{1,5})?)$`
})

export const ORIGINS_EXPECTED = 'a list of origins such as https://app.example.com or capacitor://localhost'
