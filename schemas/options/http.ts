import { Type } from 'typebox'
import { Origin, ORIGINS_EXPECTED } from './formats.js'

/** A token of RFC 6265. Browsers give a name that begins with `__` a meaning, such as `__Secure-`. */
const COOKIE_NAME = {
  pattern: "^(?!__)[!#$%&'*+.^_`|~0-9A-Za-z-]+$",
  maxLength: 100,
  expects: 'a cookie name without a prefix such as __Host-, for example shop_token'
}

/** How requests carry access tokens in their header. */
export const credentials = {
  /**
   * The scheme of the `Authorization` header in which clients send access tokens, for example `Token`. Challenges name
   * it. `Bearer` is accepted as well, because OAuth clients and verifiers use it. Default `Bearer`.
   */
  scheme: Type.Optional(Type.String({
    // A token of RFC 9110. Machine clients authenticate with Basic.
    pattern: "^(?![Bb][Aa][Ss][Ii][Cc]$)[!#$%&'*+.^_`|~0-9A-Za-z-]+$",
    maxLength: 100,
    description: 'The scheme of the `Authorization` header in which clients send access tokens, for example `Token`. ' +
      'Challenges name it. `Bearer` is accepted as well, because OAuth clients and verifiers use it.',
    default: 'Bearer',
    expects: 'the name of an HTTP authentication scheme other than Basic, for example Token'
  })),
  /**
   * What your guarded routes accept: `token` (an access token), `key` (a personal access token), or both. A route can
   * override it: `config: { latchkey: { accepts: ['token', 'key'] } }`. Default `['token']`.
   */
  accepts: Type.Optional(Type.Array(Type.Enum(['token', 'key']), {
    minItems: 1,
    description: 'What your guarded routes accept: `token` (an access token), `key` (a personal access token), or ' +
      "both. A route can override it: `config: { latchkey: { accepts: ['token', 'key'] } }`.",
    default: ['token'],
    expects: "a list of 'token' (an access token) and 'key' (a personal access token)"
  }))
}

/** What an app can do in its own routes. */
const OWN_ROUTES = ['login', 'refresh', 'logout'] as const

/** What browsers need to hold tokens in cookies. */
export const cookies = {
  /** The cookies of `POST /login`. */
  cookies: Type.Optional(Type.Object({
    /**
     * Whether cookies are `Secure` and have the `__Host-` prefix. Set it to `false` only for development over plain
     * http, in Safari or on a host other than localhost. Default true.
     */
    secure: Type.Optional(Type.Boolean({
      description: 'Whether cookies are `Secure` and have the `__Host-` prefix. Set it to `false` only for ' +
        'development over plain http, in Safari or on a host other than localhost.',
      default: true,
      env: 'LATCHKEY_COOKIES_SECURE',
      expects: 'true or false'
    })),
    /**
     * The name of the cookie with the access token, without the prefix `__Host-`. Two apps on one host name need
     * different names, because browsers send cookies to every port. Default `access_token`.
     */
    accessName: Type.Optional(Type.String({
      ...COOKIE_NAME,
      description: 'The name of the cookie with the access token, without the prefix `__Host-`. Two apps on one host ' +
        'name need different names, because browsers send cookies to every port.',
      default: 'access_token',
      env: 'LATCHKEY_COOKIES_ACCESS_NAME'
    })),
    /** The name of the cookie with the refresh token, in the same way. Default `refresh_token`. */
    refreshName: Type.Optional(Type.String({
      ...COOKIE_NAME,
      description: 'The name of the cookie with the refresh token, in the same way.',
      default: 'refresh_token',
      env: 'LATCHKEY_COOKIES_REFRESH_NAME'
    }))
  }, {
    additionalProperties: false,
    expects: 'an object with the members secure, accessName or refreshName'
  })),
  /** Additional origins whose pages may send the cookies with requests that change something. Default none. */
  trustedOrigins: Type.Optional(Type.Array(Origin, {
    description: 'Additional origins whose pages may send the cookies with requests that change something.',
    default: [],
    env: 'LATCHKEY_TRUSTED_ORIGINS',
    list: true,
    expects: ORIGINS_EXPECTED
  }))
}

/** Where the routes are, which optional ones exist, and what applies to all of them. */
export const http = {
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
    expects: ORIGINS_EXPECTED
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
   * Whether requests receive 503 while the event loop lags by a second or the heap is nearly full. On in the service.
   * Default false.
   */
  shedLoad: Type.Optional(Type.Boolean({
    description: 'Whether requests receive 503 while the event loop lags by a second or the heap is nearly full. On ' +
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
  /**
   * How Latchkey's own routes report errors. `problem`: as problem documents (RFC 9457). `app`: through the error
   * handler of your app, with status and headers set. OAuth endpoints use the format of RFC 6749 in either case.
   * Default `problem`.
   */
  errors: Type.Optional(Type.Enum(['problem', 'app'], {
    description: "How Latchkey's own routes report errors. `problem`: as problem documents (RFC 9457). `app`: " +
      'through the error handler of your app, with status and headers set. OAuth endpoints use the format of RFC ' +
      '6749 in either case.',
    default: 'problem',
    expects: "'problem' or 'app'"
  })),
  /**
   * The Latchkey routes that your own routes replace. `login` removes `POST /login` and the password grant of
   * `POST /token`, `refresh` removes `POST /refresh` and the refresh grant of `POST /token`, and `logout` removes
   * `POST /logout`. Default none.
   */
  ownRoutes: Type.Optional(Type.Array(Type.Enum(OWN_ROUTES), {
    description: 'The Latchkey routes that your own routes replace. `login` removes `POST /login` and the password ' +
      'grant of `POST /token`, `refresh` removes `POST /refresh` and the refresh grant of `POST /token`, and ' +
      '`logout` removes `POST /logout`.',
    default: [],
    expects: 'a list of login, refresh or logout'
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
  /**
   * Whether `GET /verify` exists. A reverse proxy asks there whether it may pass a request on to another program. On in
   * the service. Default false.
   */
  forwardAuth: Type.Optional(Type.Boolean({
    description: 'Whether `GET /verify` exists. A reverse proxy asks there whether it may pass a request on to ' +
      'another program. On in the service.',
    default: false,
    env: 'LATCHKEY_FORWARD_AUTH',
    expects: 'true or false'
  }))
}
