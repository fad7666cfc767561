import { Type } from 'typebox'
import type { Static } from 'typebox'
import { ALGORITHMS } from './algorithms.js'
import { SCOPE_PATTERN } from './common.js'
import type { EventHook } from './events.js'
import type { ClaimsHook, UserDirectory } from './host.js'
import type { ScopeCatalogue } from './scopes.js'

// One schema makes the type, the check at boot, the environment variables and the tables in docs/reference.
// `env`: the variable that gives the option to the service. `expects`: the legal values, in words, for the error and the table.

// Not more than some centuries: what comes later than the last Date has no text.
export const DURATION_PATTERN = '^[1-9]([0-9]{0,8}(ms|s)|[0-9]{0,6}m|[0-9]{0,5}h|[0-9]{0,4}d)$'

const Duration = (description: string, byDefault: string, env: string) => Type.Optional(Type.String({
  pattern: DURATION_PATTERN,
  description,
  default: byDefault,
  env,
  expects: 'a duration such as 900s, 15m or 30d'
}))

const Origin = Type.String({ pattern: '^https?://([A-Za-z0-9-]+(\\.[A-Za-z0-9-]+)*|\\[[0-9A-Fa-f:.]+\\])(:[0-9]{1,5})?$' })

/** What `app.register(latchkey, options)` takes. Every option has a default; the service takes the same from its environment. */
export const Options = Type.Object({
  /** The `iss` of every token: the URL at which clients reach the service. Default `http://127.0.0.1:3000`. */
  issuer: Type.Optional(Type.String({
    pattern: '^https?://[^?#\\s]+$',
    description: 'The `iss` of every token: the URL at which clients reach the service, without query and fragment.',
    default: 'http://127.0.0.1:3000',
    env: 'LATCHKEY_ISSUER',
    expects: 'an http or https URL without query and fragment'
  })),
  /** The `aud` of every token: the API or APIs that it is for. Default: the issuer. */
  audience: Type.Optional(Type.Union([Type.String({ minLength: 1 }), Type.Array(Type.String({ minLength: 1 }), { minItems: 1, uniqueItems: true })], {
    description: 'The `aud` of every token: the API or APIs that it is for. Default: the issuer.',
    env: 'LATCHKEY_AUDIENCE',
    list: true,
    expects: 'a name or a list of names'
  })),
  /** The path of a SQLite database, made where it does not exist, `:memory:`, or `postgres://user:password@host/database`. Default `./latchkey.db`. */
  database: Type.Optional(Type.String({
    minLength: 1,
    pattern: '^([Pp][Oo][Ss][Tt][Gg][Rr][Ee][Ss]([Qq][Ll])?://[^\\s]+$|(?![A-Za-z]+://))',
    description: 'The path of a SQLite database, made where it does not exist, or `:memory:`. For more than one machine the URL of a PostgreSQL database, `postgres://user:password@host:port/database`.',
    default: './latchkey.db',
    env: 'LATCHKEY_DATABASE',
    expects: "the path of a SQLite database, ':memory:', or a URL such as postgres://user:password@host:5432/database"
  })),
  /** With PostgreSQL: how long after its acknowledgement a revocation by another node may be unknown here; a node that cannot know asks the database for each request, and answers 503 where it gets no answer. Default `1s`. */
  revocationBound: Type.Optional(Type.String({
    pattern: DURATION_PATTERN,
    description: 'With PostgreSQL: how long after its acknowledgement a revocation by another node may be unknown here, at least `100ms`. A node that cannot know asks the database before each answer, and answers 503 where it gets none. With SQLite the next request knows.',
    default: '1s',
    env: 'LATCHKEY_REVOCATION_BOUND',
    expects: 'a duration from 100ms to 1h'
  })),
  /** At least 32 bytes; a list rotates: the first signs, all verify. Default: made at first start, in a file beside the database; with PostgreSQL it must be given. */
  secret: Type.Optional(Type.Union([Type.String(), Type.Array(Type.String(), { minItems: 1 })], {
    description: 'What the symmetric keys are derived from, at least 32 bytes. A list rotates: the first signs and seals, all verify and unseal. Default: made at first start, in a file of mode 0600 beside the database. With PostgreSQL it must be given, and be the same on every node.',
    env: 'LATCHKEY_SECRET',
    list: true,
    expects: 'at least 32 bytes of text, or a list of such'
  })),
  /** What access tokens are signed with. Default `ES256`. */
  algorithm: Type.Optional(Type.Enum(ALGORITHMS, {
    description: 'What access tokens are signed with. Keys of the other algorithms in the store go on verifying until they are revoked.',
    default: 'ES256',
    env: 'LATCHKEY_ALGORITHM',
    expects: ALGORITHMS.join(', ')
  })),
  /** Your scopes with a description each, beside the built-in ones. Default none. */
  scopes: Type.Optional(Type.Record(Type.String({ pattern: SCOPE_PATTERN }), Type.String(), {
    description: 'The scopes of your own, each with a description, beside the built-in ones. In the environment: names separated by commas.',
    default: {},
    env: 'LATCHKEY_SCOPES',
    list: true,
    additionalProperties: false,
    expects: 'names of printable ASCII without spaces, quotes and backslashes, each with a description'
  })),
  /** How long an access token lives. Default `15m`. */
  accessTokenTtl: Duration('How long an access token lives.', '15m', 'LATCHKEY_ACCESS_TOKEN_TTL'),
  /** How long a refresh token lives when it is not used. Default `30d`. */
  refreshIdleTtl: Duration('How long a refresh token lives when it is not used.', '30d', 'LATCHKEY_REFRESH_IDLE_TTL'),
  /** How long a session lives, however often it is refreshed. Default `90d`. */
  sessionTtl: Duration('How long a session lives, however often it is refreshed.', '90d', 'LATCHKEY_SESSION_TTL'),
  /** The most live sessions that a user can have. At the next login, the least recently used one ends. Default 100. */
  maxSessions: Type.Optional(Type.Integer({
    minimum: 1,
    maximum: 1_000,
    description: 'The most live sessions that a user can have. At the next login, the least recently used one ends.',
    default: 100,
    env: 'LATCHKEY_MAX_SESSIONS',
    expects: 'a whole number from 1 to 1000'
  })),
  /** How long after a refresh its predecessor still gets the same successor: for parallel tabs, lost responses and retries. Default `10s`. */
  refreshGrace: Duration('How long after a refresh the token before it still gets the same successor: for parallel tabs, lost responses and retries.', '10s', 'LATCHKEY_REFRESH_GRACE'),
  /** The cost of new password hashes: each step doubles the time. Default 12. */
  bcryptCost: Type.Optional(Type.Integer({
    minimum: 4,
    maximum: 20,
    description: 'The bcrypt cost of new password hashes; each step doubles the time. A login re-hashes what is cheaper. Below 10 is for tests.',
    default: 12,
    env: 'LATCHKEY_BCRYPT_COST',
    expects: 'a whole number from 4 to 20'
  })),
  /** The fewest characters of a new password (NIST SP 800-63B-4 section 3.1.1.2). Default 15. */
  passwordMinLength: Type.Optional(Type.Integer({
    minimum: 8,
    maximum: 128,
    description: 'The fewest characters of a new password (NIST SP 800-63B-4 section 3.1.1.2: 15 where it is the only factor).',
    default: 15,
    env: 'LATCHKEY_PASSWORD_MIN_LENGTH',
    expects: 'a whole number from 8 to 128'
  })),
  /** Whether anyone may make an account at `POST /register`. Default false. */
  registration: Type.Optional(Type.Boolean({
    description: 'Whether anyone may make an account, without scopes, at `POST /register`.',
    default: false,
    env: 'LATCHKEY_REGISTRATION',
    expects: 'true or false'
  })),
  /** Whether `POST /token` takes a username and a password. Default true. */
  passwordGrant: Type.Optional(Type.Boolean({
    description: 'Whether `POST /token` takes a username and a password (`grant_type=password`), which RFC 9700 section 2.4 keeps for first-party apps. `POST /login` is there in any case.',
    default: true,
    env: 'LATCHKEY_PASSWORD_GRANT',
    expects: 'true or false'
  })),
  /** Whether attempts on passwords are counted and limited, per address and per account. Default true. */
  rateLimit: Type.Optional(Type.Boolean({
    description: 'Whether requests to the routes that take a password are limited to 100 a minute for each address, and failures in a row for each account.',
    default: true,
    env: 'LATCHKEY_RATE_LIMIT',
    expects: 'true or false'
  })),
  /** The cookies of `POST /login`. */
  cookies: Type.Optional(Type.Object({
    /** `false` only for development over plain http on another name than localhost: the cookies lose the `__Host-` prefix. Default true. */
    secure: Type.Optional(Type.Boolean({
      description: 'Whether cookies are `Secure` and have the `__Host-` prefix. `false` is for development over plain http on another name than localhost.',
      default: true,
      env: 'LATCHKEY_COOKIES_SECURE',
      expects: 'true or false'
    }))
  }, { additionalProperties: false, expects: 'an object with the member secure' })),
  /** Other origins whose pages may send the cookies with requests that change something. Default none. */
  trustedOrigins: Type.Optional(Type.Array(Origin, {
    description: 'Origins besides our own whose pages may send the cookies with requests that change something.',
    default: [],
    env: 'LATCHKEY_TRUSTED_ORIGINS',
    list: true,
    expects: 'a list of origins such as https://app.example.com'
  })),
  /** How long a key signs before another one takes its place, or `never`. Default `90d`. */
  keyRotation: Type.Optional(Type.String({
    pattern: `^never$|${DURATION_PATTERN}`,
    description: 'How long a key signs before another one takes its place, at least `1h`, or `never`. The next one is published before it signs, and the last one until its last token is dead.',
    default: '90d',
    env: 'LATCHKEY_KEY_ROTATION',
    expects: "a duration such as 12h or 90d, at least 1h, or 'never'"
  })),
  /** Origins whose pages may call the API and read its answers (CORS); with cookies only those that are in `trustedOrigins` too. Default none. */
  corsOrigins: Type.Optional(Type.Array(Origin, {
    description: 'Origins whose pages may call the API and read its answers (CORS); with cookies only those that are in `trustedOrigins` too.',
    default: [],
    env: 'LATCHKEY_CORS_ORIGINS',
    list: true,
    expects: 'a list of origins such as https://app.example.com'
  })),
  /** Whether answers carry headers that forbid browsers what an API does not need. Default false; the service switches it on. */
  securityHeaders: Type.Optional(Type.Boolean({
    description: 'Whether answers carry headers that forbid browsers what an API does not need; `Strict-Transport-Security` where the issuer is https. The service switches it on.',
    default: false,
    env: 'LATCHKEY_SECURITY_HEADERS',
    expects: 'true or false'
  })),
  /** Whether requests are refused with 503 while the event loop is a second late or the heap nearly full. Default false; the service switches it on. */
  shedLoad: Type.Optional(Type.Boolean({
    description: 'Whether requests are refused with 503 while the event loop is a second late or the heap nearly full. The service switches it on.',
    default: false,
    env: 'LATCHKEY_SHED_LOAD',
    expects: 'true or false'
  })),
  /** Whether `GET /metrics` is there, for holders of the scope `metrics:read`. Default false; the service switches it on. */
  metrics: Type.Optional(Type.Boolean({
    description: 'Whether `GET /metrics` is there, for Prometheus with a token that has the scope `metrics:read`. The service switches it on.',
    default: false,
    env: 'LATCHKEY_METRICS',
    expects: 'true or false'
  })),
  /** Whether access tokens of sessions refer to a status list, which `GET /status-lists/:id` serves. Default false. */
  statusList: Type.Optional(Type.Boolean({
    description: 'Whether access tokens of sessions refer to a Token Status List (draft-ietf-oauth-status-list-21), which `GET /status-lists/:id` serves: verifiers that know that standard hear of ended sessions within half a minute. Not with HS256.',
    default: false,
    env: 'LATCHKEY_STATUS_LIST',
    expects: 'true or false'
  })),
  /** The path under which the routes are. Default none. */
  prefix: Type.Optional(Type.String({
    pattern: '^(/[A-Za-z0-9._~-]+)*$',
    description: 'The path under which the routes are.',
    default: '',
    env: 'LATCHKEY_PREFIX',
    expects: 'a path such as /auth'
  })),
  /** Whether `GET /openapi.json` and the page at `GET /docs` are there. Default false; the service switches it on. */
  docs: Type.Optional(Type.Boolean({
    description: 'Whether `GET /openapi.json` and the page at `GET /docs` are there. The service switches it on.',
    default: false,
    expects: 'true or false'
  })),
  /** Your own accounts instead of the built-in table. */
  users: Type.Optional(Type.Unsafe<UserDirectory>({
    type: 'object',
    callable: ['authenticate', 'find'],
    description: 'Your own accounts instead of the built-in table: `authenticate(username, password)` and `find(id)`.',
    expects: 'an object with the functions authenticate and find'
  })),
  /** Adds claims of yours to access tokens; those that Latchkey sets cannot be replaced. */
  claims: Type.Optional(Type.Unsafe<ClaimsHook>({
    callable: [],
    description: 'A function `(user, scopes) => claims` that adds claims of yours to access tokens. The reserved ones cannot be replaced. No personal data: anyone who holds a token can read it.',
    expects: 'a function'
  })),
  /** How long the audit trail is kept. Default `90d`. */
  auditRetention: Duration('How long an entry of the audit trail is kept.', '90d', 'LATCHKEY_AUDIT_RETENTION'),
  /** Hears of logins, failures, revocations and changes. */
  onEvent: Type.Optional(Type.Unsafe<EventHook>({
    callable: [],
    description: 'A function `(event) => void` that hears what happened, after its commit: to mail a user whose refresh token was stolen, say. What it throws is logged and changes nothing.',
    expects: 'a function'
  })),
  /** The source of time in milliseconds, for tests. Default `Date.now`. */
  now: Type.Optional(Type.Unsafe<() => number>({
    callable: [],
    description: 'The source of time, in milliseconds, for tests. Default `Date.now`.',
    expects: 'a function'
  }))
}, { additionalProperties: false })

/** The options of the plugin. */
export interface LatchkeyOptions extends Omit<Static<typeof Options>, 'scopes'> {
  // Written out here: what is inferred of a schema is settled when this package is compiled, before an app has declared anything.
  /** Your scopes with a description each, beside the built-in ones. Default none. */
  scopes?: ScopeCatalogue
}

/** The options whose default is another one in the service: what only a service wants. */
export const SERVICE_DEFAULTS = { docs: true, securityHeaders: true, shedLoad: true, metrics: true } as const satisfies LatchkeyOptions

/** What only the service takes, from its environment. */
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
    description: 'The port to listen on; 0 takes any that is free.',
    default: 3000,
    env: 'PORT',
    expects: 'a whole number from 0 to 65535'
  })),
  trustProxy: Type.Optional(Type.Array(Type.String({ minLength: 1 }), {
    description: 'The addresses or CIDR ranges of the reverse proxies whose `X-Forwarded-*` headers are believed. Default none.',
    default: [],
    env: 'LATCHKEY_TRUST_PROXY',
    list: true,
    expects: 'a list of addresses or CIDR ranges, for example 10.0.0.0/8'
  })),
  logLevel: Type.Optional(Type.Enum(['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'], {
    description: 'What is logged, and what is worse.',
    default: 'info',
    env: 'LATCHKEY_LOG_LEVEL',
    expects: 'fatal, error, warn, info, debug, trace or silent'
  }))
}, { additionalProperties: false })

export type ServiceOptions = Static<typeof ServiceOptions>
