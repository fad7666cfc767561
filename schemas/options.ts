import { Type } from 'typebox'
import type { Static } from 'typebox'
import { ALGORITHMS } from './algorithms.js'
import { SCOPE_PATTERN } from './common.js'
import type { EventHook } from './events.js'
import type { ClaimsHook, UserDirectory } from './host.js'
import type { ScopeCatalogue } from './scopes.js'
import { MAX_SESSIONS } from './sessions.js'

// One schema gives the type, the check at boot, the environment variables and the tables in docs/reference. `env` is
// the variable that sets the option in the service. `expects` names the legal values in words, for the error and
// the table.

// A few centuries at most, because a time after the last valid Date cannot be formatted.
export const DURATION_PATTERN = '^[1-9]([0-9]{0,8}(ms|s)|[0-9]{0,6}m|[0-9]{0,5}h|[0-9]{0,4}d)$'

const Duration = (description: string, byDefault: string, env: string) => Type.Optional(Type.String({
  pattern: DURATION_PATTERN,
  description,
  default: byDefault,
  env,
  expects: 'a duration such as 900s, 15m or 30d'
}))

const Origin = Type.String({
  pattern: '^https?://([A-Za-z0-9-]+(\\.[A-Za-z0-9-]+)*|\\[[0-9A-Fa-f:.]+\\])(:[0-9]{1,5})?$'
})

/**
 * What `app.register(latchkey, options)` takes. Every option has a default. The service reads the same options from its
 * environment.
 */
export const Options = Type.Object({
  /**
   * The `iss` of every token: the URL at which clients reach the service, without a query or fragment. Default
   * `http://127.0.0.1:3000`.
   */
  issuer: Type.Optional(Type.String({
    pattern: '^https?://[^?#\\s]+$',
    description: 'The `iss` of every token: the URL at which clients reach the service, without a query or fragment.',
    default: 'http://127.0.0.1:3000',
    env: 'LATCHKEY_ISSUER',
    expects: 'an http or https URL without a query or fragment'
  })),
  /** The `aud` of every token: the API or APIs that it is for. Default: the issuer. */
  audience: Type.Optional(Type.Union([
    Type.String({ minLength: 1 }),
    Type.Array(Type.String({ minLength: 1 }), { minItems: 1, uniqueItems: true })
  ], {
    description: 'The `aud` of every token: the API or APIs that it is for. Default: the issuer.',
    env: 'LATCHKEY_AUDIENCE',
    list: true,
    expects: 'a name or a list of names'
  })),
  /**
   * The path of a SQLite database, created if it does not exist, or `:memory:`. For more than one machine, the URL of a
   * PostgreSQL database: `postgres://user:password@host:port/database`. Default `./latchkey.db`.
   */
  database: Type.Optional(Type.String({
    minLength: 1,
    pattern: '^([Pp][Oo][Ss][Tt][Gg][Rr][Ee][Ss]([Qq][Ll])?://[^\\s]+$|(?![A-Za-z]+://))',
    description: 'The path of a SQLite database, created if it does not exist, or `:memory:`. For more than one ' +
      'machine, the URL of a PostgreSQL database: `postgres://user:password@host:port/database`.',
    default: './latchkey.db',
    env: 'LATCHKEY_DATABASE',
    expects: "the path of a SQLite database, ':memory:', or a URL such as postgres://user:password@host:5432/database"
  })),
  /**
   * With PostgreSQL: how long a revocation acknowledged by another node may be unknown here, at least `100ms`. A node
   * that cannot tell asks the database for each request, and responds 503 if the database does not answer. With SQLite,
   * a revocation is in force on the next request. Default `1s`.
   */
  revocationBound: Type.Optional(Type.String({
    pattern: DURATION_PATTERN,
    description: 'With PostgreSQL: how long a revocation acknowledged by another node may be unknown here, at least ' +
      '`100ms`. A node that cannot tell asks the database for each request, and responds 503 if the database does ' +
      'not answer. With SQLite, a revocation is in force on the next request.',
    default: '1s',
    env: 'LATCHKEY_REVOCATION_BOUND',
    expects: 'a duration from 100ms to 1h'
  })),
  /**
   * The secret that the symmetric keys are derived from, at least 32 bytes. Use a list to rotate: the first secret
   * signs and seals, all verify and unseal. Default: created at first start, in a file of mode 0600 beside the
   * database. With PostgreSQL it is required, and must be the same on every node.
   */
  secret: Type.Optional(Type.Union([Type.String(), Type.Array(Type.String(), { minItems: 1 })], {
    description: 'The secret that the symmetric keys are derived from, at least 32 bytes. Use a list to rotate: the ' +
      'first secret signs and seals, all verify and unseal. Default: created at first start, in a file of mode 0600 ' +
      'beside the database. With PostgreSQL it is required, and must be the same on every node.',
    env: 'LATCHKEY_SECRET',
    list: true,
    expects: 'at least 32 bytes of text, or a list of such texts'
  })),
  /**
   * The algorithm that signs access tokens. Stored keys of other algorithms still verify until they are revoked.
   * Default `ES256`.
   */
  algorithm: Type.Optional(Type.Enum(ALGORITHMS, {
    description: 'The algorithm that signs access tokens. Stored keys of other algorithms still verify until they ' +
      'are revoked.',
    default: 'ES256',
    env: 'LATCHKEY_ALGORITHM',
    expects: ALGORITHMS.join(', ')
  })),
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
   * How long after a refresh the previous token still receives the same successor. Covers parallel tabs, lost responses
   * and retries. Default `10s`.
   */
  refreshGrace: Duration(
    'How long after a refresh the previous token still receives the same successor. Covers parallel tabs, lost ' +
      'responses and retries.',
    '10s',
    'LATCHKEY_REFRESH_GRACE'
  ),
  /**
   * The bcrypt cost of new password hashes. Each step doubles the time. A login replaces a cheaper hash. Use less than
   * 10 only in tests. Default 12.
   */
  bcryptCost: Type.Optional(Type.Integer({
    minimum: 4,
    maximum: 20,
    description: 'The bcrypt cost of new password hashes. Each step doubles the time. A login replaces a cheaper ' +
      'hash. Use less than 10 only in tests.',
    default: 12,
    env: 'LATCHKEY_BCRYPT_COST',
    expects: 'a whole number from 4 to 20'
  })),
  /**
   * The minimum length of a new password, in characters (NIST SP 800-63B-4 section 3.1.1.2: 15 if it is the only
   * factor). Default 15.
   */
  passwordMinLength: Type.Optional(Type.Integer({
    minimum: 8,
    maximum: 128,
    description: 'The minimum length of a new password, in characters (NIST SP 800-63B-4 section 3.1.1.2: 15 if it ' +
      'is the only factor).',
    default: 15,
    env: 'LATCHKEY_PASSWORD_MIN_LENGTH',
    expects: 'a whole number from 8 to 128'
  })),
  /** Whether anyone may create an account, without scopes, at `POST /register`. Default false. */
  registration: Type.Optional(Type.Boolean({
    description: 'Whether anyone may create an account, without scopes, at `POST /register`.',
    default: false,
    env: 'LATCHKEY_REGISTRATION',
    expects: 'true or false'
  })),
  /**
   * Whether `POST /token` accepts a username and a password (`grant_type=password`). RFC 9700 section 2.4 restricts
   * that to first-party apps. `POST /login` always exists. Default true.
   */
  passwordGrant: Type.Optional(Type.Boolean({
    description: 'Whether `POST /token` accepts a username and a password (`grant_type=password`). RFC 9700 section ' +
      '2.4 restricts that to first-party apps. `POST /login` always exists.',
    default: true,
    env: 'LATCHKEY_PASSWORD_GRANT',
    expects: 'true or false'
  })),
  /**
   * Whether the routes that take a password limit requests to 100 a minute per address, and slow down consecutive
   * failures per account. Default true.
   */
  rateLimit: Type.Optional(Type.Boolean({
    description: 'Whether the routes that take a password limit requests to 100 a minute per address, and slow down ' +
      'consecutive failures per account.',
    default: true,
    env: 'LATCHKEY_RATE_LIMIT',
    expects: 'true or false'
  })),
  /** The cookies of `POST /login`. */
  cookies: Type.Optional(Type.Object({
    /**
     * Whether cookies are `Secure` and have the `__Host-` prefix. Set it to `false` only for development over plain
     * http on a host other than localhost. Default true.
     */
    secure: Type.Optional(Type.Boolean({
      description: 'Whether cookies are `Secure` and have the `__Host-` prefix. Set it to `false` only for ' +
        'development over plain http on a host other than localhost.',
      default: true,
      env: 'LATCHKEY_COOKIES_SECURE',
      expects: 'true or false'
    }))
  }, { additionalProperties: false, expects: 'an object with the member secure' })),
  /** Additional origins whose pages may send the cookies with requests that change something. Default none. */
  trustedOrigins: Type.Optional(Type.Array(Origin, {
    description: 'Additional origins whose pages may send the cookies with requests that change something.',
    default: [],
    env: 'LATCHKEY_TRUSTED_ORIGINS',
    list: true,
    expects: 'a list of origins such as https://app.example.com'
  })),
  /**
   * How long a key signs before the next one replaces it, at least `1h`, or `never`. The next key is published before
   * it signs. The previous key stays published until its last token expires. Default `90d`.
   */
  keyRotation: Type.Optional(Type.String({
    pattern: `^never$|${DURATION_PATTERN}`,
    description: 'How long a key signs before the next one replaces it, at least `1h`, or `never`. The next key is ' +
      'published before it signs. The previous key stays published until its last token expires.',
    default: '90d',
    env: 'LATCHKEY_KEY_ROTATION',
    expects: "a duration such as 12h or 90d, at least 1h, or 'never'"
  })),
  /**
   * Origins whose pages may call the API and read its responses (CORS). Cookies are allowed only for origins that are
   * in `trustedOrigins` too. Default none.
   */
  corsOrigins: Type.Optional(Type.Array(Origin, {
    description: 'Origins whose pages may call the API and read its responses (CORS). Cookies are allowed only for ' +
      'origins that are in `trustedOrigins` too.',
    default: [],
    env: 'LATCHKEY_CORS_ORIGINS',
    list: true,
    expects: 'a list of origins such as https://app.example.com'
  })),
  /**
   * Whether responses carry security headers that restrict browsers to what an API needs, with
   * `Strict-Transport-Security` if the issuer is https. On in the service. Default false.
   */
  securityHeaders: Type.Optional(Type.Boolean({
    description: 'Whether responses carry security headers that restrict browsers to what an API needs, with ' +
      '`Strict-Transport-Security` if the issuer is https. On in the service.',
    default: false,
    env: 'LATCHKEY_SECURITY_HEADERS',
    expects: 'true or false'
  })),
  /**
   * Whether requests receive 503 while the event loop is a second late or the heap is nearly full. On in the service.
   * Default false.
   */
  shedLoad: Type.Optional(Type.Boolean({
    description: 'Whether requests receive 503 while the event loop is a second late or the heap is nearly full. On ' +
      'in the service.',
    default: false,
    env: 'LATCHKEY_SHED_LOAD',
    expects: 'true or false'
  })),
  /**
   * Whether `GET /metrics` exists, for Prometheus with a token that has the scope `metrics:read`. On in the service.
   * Default false.
   */
  metrics: Type.Optional(Type.Boolean({
    description: 'Whether `GET /metrics` exists, for Prometheus with a token that has the scope `metrics:read`. On ' +
      'in the service.',
    default: false,
    env: 'LATCHKEY_METRICS',
    expects: 'true or false'
  })),
  /**
   * Whether access tokens of sessions refer to a Token Status List (draft-ietf-oauth-status-list-21), served at `GET
   * /status-lists/:id`. Verifiers that support the draft learn about ended sessions within half a minute. Not available
   * with HS256. Default false.
   */
  statusList: Type.Optional(Type.Boolean({
    description: 'Whether access tokens of sessions refer to a Token Status List (draft-ietf-oauth-status-list-21), ' +
      'served at `GET /status-lists/:id`. Verifiers that support the draft learn about ended sessions within half a ' +
      'minute. Not available with HS256.',
    default: false,
    env: 'LATCHKEY_STATUS_LIST',
    expects: 'true or false'
  })),
  /** The path prefix of the routes. Default none. */
  prefix: Type.Optional(Type.String({
    pattern: '^(/[A-Za-z0-9._~-]+)*$',
    description: 'The path prefix of the routes.',
    default: '',
    env: 'LATCHKEY_PREFIX',
    expects: 'a path such as /auth'
  })),
  /** Whether `GET /openapi.json` and the API page at `GET /docs` exist. On in the service. Default false. */
  docs: Type.Optional(Type.Boolean({
    description: 'Whether `GET /openapi.json` and the API page at `GET /docs` exist. On in the service.',
    default: false,
    expects: 'true or false'
  })),
  /** Your own accounts instead of the built-in table: `authenticate(username, password)` and `find(id)`. */
  users: Type.Optional(Type.Unsafe<UserDirectory>({
    type: 'object',
    callable: ['authenticate', 'find'],
    description: 'Your own accounts instead of the built-in table: `authenticate(username, password)` and `find(id)`.',
    expects: 'an object with the functions authenticate and find'
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
  /** The source of time, in milliseconds, for tests. Default `Date.now`. */
  now: Type.Optional(Type.Unsafe<() => number>({
    callable: [],
    description: 'The source of time, in milliseconds, for tests. Default `Date.now`.',
    expects: 'a function'
  }))
}, { additionalProperties: false })

/** The options of the plugin. */
export interface LatchkeyOptions extends Omit<Static<typeof Options>, 'scopes'> {
  // Written out, because a type inferred from the schema is fixed when this package is compiled, before an app declares
  // its scopes.
  /** Your own scopes, each with a description, in addition to the built-in ones. Default none. */
  scopes?: ScopeCatalogue
}

/** The options that are on in the service and off in the plugin, because only a service needs them. */
export const SERVICE_DEFAULTS = {
  docs: true,
  securityHeaders: true,
  shedLoad: true,
  metrics: true
} as const satisfies LatchkeyOptions

/** The options that only the service takes, from its environment. */
export const ServiceOptions = Type.Object({
  host: Type.Optional(Type.String({
    minLength: 1,
    description: 'The address to listen on.',
    default: '127.0.0.1',
    env: 'HOST',
    expects: 'an address or a host name'
  })),
  port: Type.Optional(Type.Integer({
    minimum: 0,
    maximum: 65535,
    description: 'The port to listen on. With 0, the system picks a free one.',
    default: 3000,
    env: 'PORT',
    expects: 'a whole number from 0 to 65535'
  })),
  trustProxy: Type.Optional(Type.Array(Type.String({ minLength: 1 }), {
    description: 'The addresses or CIDR ranges of the reverse proxies whose `X-Forwarded-*` headers are trusted. ' +
      'Default: none.',
    default: [],
    env: 'LATCHKEY_TRUST_PROXY',
    list: true,
    expects: 'a list of addresses or CIDR ranges, for example 10.0.0.0/8'
  })),
  logLevel: Type.Optional(Type.Enum(['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'], {
    description: 'The lowest level that is logged.',
    default: 'info',
    env: 'LATCHKEY_LOG_LEVEL',
    expects: 'fatal, error, warn, info, debug, trace or silent'
  }))
}, { additionalProperties: false })

export type ServiceOptions = Static<typeof ServiceOptions>
