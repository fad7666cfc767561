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

export const Origin = Type.String({
  pattern: '^https?://([A-Za-z0-9-]+(\\.[A-Za-z0-9-]+)*|\\[[0-9A-Fa-f:.]+\\])(:[0-9]{1,5})?$'
})
