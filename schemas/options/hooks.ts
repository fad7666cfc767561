import { Type } from 'typebox'
import type { EventHook } from '../events.js'
import type { ClaimsHook, UserDirectory } from '../host.js'
import { Duration } from './formats.js'

const DecoratorName = Type.String({ pattern: '^[A-Za-z_$][A-Za-z0-9_$]*$' })

/** What the app provides itself, and what Latchkey hands to it. */
export const hooks = {
  /** Your own accounts instead of the built-in table: `authenticate(username, password)` and `find(id)`. */
  users: Type.Optional(Type.Unsafe<UserDirectory>({
    type: 'object',
    callable: ['authenticate', 'find'],
    description: 'Your own accounts instead of the built-in table: `authenticate(username, password)` and `find(id)`.',
    expects: 'an object with the functions authenticate and find'
  })),
  /**
   * The type of the ids of your own accounts, and of `request.user.id`: `text`, or `integer` for safe integers, 0 or
   * more. Tokens, events and responses contain them as text. Default `text`.
   */
  userIds: Type.Optional(Type.Enum(['text', 'integer'], {
    description: 'The type of the ids of your own accounts, and of `request.user.id`: `text`, or `integer` for safe ' +
      'integers, 0 or more. Tokens, events and responses contain them as text.',
    default: 'text',
    expects: "'text' or 'integer'"
  })),
  /**
   * A function `(user, scopes) => claims` that adds your own claims to access tokens. It cannot replace reserved
   * claims. Add no personal data: anyone who holds a token can read it.
   */
  claims: Type.Optional(Type.Unsafe<ClaimsHook>({
    callable: [],
    description: 'A function `(user, scopes) => claims` that adds your own claims to access tokens. It cannot ' +
      'replace reserved claims. Add no personal data: anyone who holds a token can read it.',
    expects: 'a function'
  })),
  /** How long entries of the audit trail are kept. Default `90d`. */
  auditRetention: Duration('How long entries of the audit trail are kept.', '90d', 'LATCHKEY_AUDIT_RETENTION'),
  /**
   * A function `(event) => void` that receives each event after its commit, for example to email a user whose refresh
   * token was stolen. Errors that it throws are logged and change nothing.
   */
  onEvent: Type.Optional(Type.Unsafe<EventHook>({
    callable: [],
    description: 'A function `(event) => void` that receives each event after its commit, for example to email a ' +
      'user whose refresh token was stolen. Errors that it throws are logged and change nothing.',
    expects: 'a function'
  })),
  /**
   * The names of the guards as decorators of your app, for example `{ authenticate: 'authenticateToken' }`, or `false`
   * for no decorators. A guard that you leave out keeps its own name. Imported guards need no decorator.
   */
  decorators: Type.Optional(Type.Union([
    Type.Literal(false),
    Type.Object({
      /** The name of `app.authenticate`. */
      authenticate: Type.Optional(DecoratorName),
      /** The name of `app.authenticateOptional`. */
      authenticateOptional: Type.Optional(DecoratorName),
      /** The name of `app.requireScopes`. */
      requireScopes: Type.Optional(DecoratorName)
    }, { additionalProperties: false })
  ], {
    description: 'The names of the guards as decorators of your app, for example ' +
      "`{ authenticate: 'authenticateToken' }`, or `false` for no decorators. A guard that you leave out " +
      'keeps its own name. Imported guards need no decorator.',
    expects: 'false, or an object with property names for authenticate, authenticateOptional or requireScopes'
  })),
  /** The source of time, in milliseconds, for tests. Default `Date.now`. */
  now: Type.Optional(Type.Unsafe<() => number>({
    callable: [],
    description: 'The source of time, in milliseconds, for tests. Default `Date.now`.',
    expects: 'a function'
  }))
}
