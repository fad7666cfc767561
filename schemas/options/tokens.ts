import { Type } from 'typebox'
import { MAX_ROLE_LENGTH, MAX_ROLES, SCOPE_PATTERN } from '../common.js'
import { MAX_SESSIONS } from '../sessions.js'
import { Duration } from './formats.js'

/** What tokens may contain, and how long tokens and sessions live. */
export const tokens = {
  /**
   * Your own scopes, each with a description, in addition to the built-in ones. In the environment: names separated by
   * commas. Default none.
   */
  scopes: Type.Optional(Type.Record(Type.String({ pattern: SCOPE_PATTERN }), Type.String(), {
    description: 'Your own scopes, each with a description, in addition to the built-in ones. In the environment: ' +
      'names separated by commas.',
    default: {},
    env: 'LATCHKEY_SCOPES',
    list: true,
    additionalProperties: false,
    expects: 'names in printable ASCII without spaces, double quotes or backslashes, each with a description'
  })),
  /** How long an access token lives. Default `15m`. */
  accessTokenTtl: Duration('How long an access token lives.', '15m', 'LATCHKEY_ACCESS_TOKEN_TTL'),
  /** How long a refresh token lives if it is not used. Default `30d`. */
  refreshIdleTtl: Duration('How long a refresh token lives if it is not used.', '30d', 'LATCHKEY_REFRESH_IDLE_TTL'),
  /** How long a session lives, however often it is refreshed. Default `90d`. */
  sessionTtl: Duration('How long a session lives, however often it is refreshed.', '90d', 'LATCHKEY_SESSION_TTL'),
  /**
   * The maximum number of live sessions of a user. At the next login, the least recently used session ends. Default
   * 100.
   */
  maxSessions: Type.Optional(Type.Integer({
    minimum: 1,
    maximum: MAX_SESSIONS,
    description: 'The maximum number of live sessions of a user. At the next login, the least recently used session ' +
      'ends.',
    default: 100,
    env: 'LATCHKEY_MAX_SESSIONS',
    expects: `a whole number from 1 to ${MAX_SESSIONS}`
  })),
  /**
   * How long after a refresh the previous token still receives the same successor even if the successor has been used.
   * Covers parallel tabs. Retries after a lost response have no time limit. Default `10s`.
   */
  refreshGrace: Duration(
    'How long after a refresh the previous token still receives the same successor even if the successor has ' +
      'been used. Covers parallel tabs. Retries after a lost response have no time limit.',
    '10s',
    'LATCHKEY_REFRESH_GRACE'
  ),
  /**
   * Names for sets of scopes, for example `{ editor: ['items:read', 'items:write'] }`. Users hold roles and scopes. In
   * the environment: `editor=items:read items:write,viewer=items:read`. Default none.
   */
  roles: Type.Optional(Type.Unsafe<Record<string, readonly string[]>>({
    type: 'object',
    description: "Names for sets of scopes, for example `{ editor: ['items:read', 'items:write'] }`. Users hold " +
      'roles and scopes. In the environment: `editor=items:read items:write,viewer=items:read`.',
    default: {},
    env: 'LATCHKEY_ROLES',
    list: true,
    expects: `at most ${MAX_ROLES} names of at most ${MAX_ROLE_LENGTH} characters, like those of scopes, each with a ` +
      'list of scopes'
  }))
}
