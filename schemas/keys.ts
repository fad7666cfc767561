import { Type } from 'typebox'
import { DateTime, SCOPE_PATTERN, Uuid } from './common.js'
import { EXAMPLE } from './examples.js'

/** How many personal access tokens a user may have. */
export const MOST_KEYS = 100

/** Seconds: ten years. */
export const LONGEST_LIFETIME = 315_360_000

/** The pattern and the maximum length of the name of a key. */
export const KEY_NAME = '^(?!\\s)[^\\p{Cc}\\p{Cf}\\p{Cs}\\p{Zl}\\p{Zp}]+(?<!\\s)$'
export const LONGEST_NAME = 100

const Name = Type.String({
  minLength: 1,
  maxLength: LONGEST_NAME,
  pattern: KEY_NAME,
  description: 'Its name, for example the program that uses it.'
})

/** The most scopes of a key. */
const MOST_SCOPES = 200

const ScopeName = Type.String({ pattern: SCOPE_PATTERN, maxLength: 255 })

const EXAMPLE_KEY = {
  id: EXAMPLE.sessionId,
  name: 'backup script',
  scopes: EXAMPLE.scope.split(' '),
  created_at: EXAMPLE.moment,
  expires_at: EXAMPLE.later,
  last_used_at: null
}

/** The body of `POST /keys`. */
export const KeyRequest = Type.Object({
  name: Name,
  scopes: Type.Array(ScopeName, {
    maxItems: MOST_SCOPES,
    description: 'Its scopes. You and this access token must have each of them.'
  }),
  expires_in: Type.Optional(Type.Integer({
    minimum: 1,
    maximum: LONGEST_LIFETIME,
    description: 'The lifetime in seconds, at most ten years. Default: it does not expire.'
  }))
}, {
  additionalProperties: false,
  title: 'KeyRequest',
  description: 'A new personal access token.',
  examples: [{ name: 'backup script', scopes: EXAMPLE.scope.split(' '), expires_in: 7_776_000 }]
})

const KEY = {
  id: Uuid,
  name: Type.String(),
  scopes: Type.Array(ScopeName, { maxItems: MOST_SCOPES }),
  created_at: DateTime,
  expires_at: Type.Union([DateTime, Type.Null()], { description: '`null`: never.' }),
  last_used_at: Type.Union([DateTime, Type.Null()], { description: 'Precise to a minute. `null`: never used.' })
}

/** A personal access token, without its value. */
export const KeyView = Type.Object(KEY, { title: 'Key', description: 'A personal access token, without its value.' })

/** A new one. */
export const CreatedKey = Type.Object(
  { ...KEY, value: Type.String({ description: 'Only this response contains it. Begins with `lkp_`.' }) },
  {
    title: 'CreatedKey',
    description: 'A new personal access token, with its value.',
    examples: [{ ...EXAMPLE_KEY, value: 'lkp_0123456789abcdefghijklmnopqrstuvwxyz2UP73a' }]
  }
)

export const KeyList = Type.Object({ keys: Type.Array(KeyView) }, {
  title: 'KeyList', description: 'Personal access tokens, newest first.', examples: [{ keys: [EXAMPLE_KEY] }]
})

export const KeyParams = Type.Object({ id: Uuid })
export const UserKeyParams = Type.Object({ id: Type.String({ minLength: 1, maxLength: 255 }), key_id: Uuid })
