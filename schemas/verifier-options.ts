import { Type } from 'typebox'
import type { Static } from 'typebox'
import { SCOPE_PATTERN } from './common.js'
import { DURATION_PATTERN, Options } from './options.js'
import type { UserIdsOption } from './user-ids.js'

// One schema gives the type, the check and the table in docs/reference, as in `schemas/options.ts`.

const { accepts, cookies, decorators, scheme, trustedOrigins, userIds } = Options.properties

/** Receives log messages. The `log` of a Fastify app has this type. */
export interface VerifierLog {
  info (details: object, message: string): void
  warn (details: object, message: string): void
  debug? (details: object, message: string): void
}

const LOOPBACK = '127\\.[0-9.]+|localhost|\\[::1\\]'

/** Hosts of a private network. A name without a dot begins with a letter, because a number is a public address. */
const PRIVATE = [
  LOOPBACK,
  '10(\\.[0-9]{1,3}){3}',
  '172\\.(1[6-9]|2[0-9]|3[01])(\\.[0-9]{1,3}){2}',
  '192\\.168(\\.[0-9]{1,3}){2}',
  '\\[[fF][cCdD][0-9a-fA-F]{2}:[0-9a-fA-F:]+\\]',
  '[A-Za-z][A-Za-z0-9_-]*',
  '([A-Za-z0-9_-]+\\.)+(svc|local|internal)'
].join('|')

/** A URL without a query or fragment, by https, or by http on one of these hosts. */
function urlPattern (hosts: string): string {
  return `^(https://[^/?#@\\s]+|http://(${hosts})(:[0-9]{1,5})?)(/[^?#\\s]*)?$`
}

const issuerOptions = {
  /**
   * The URL of the service, exactly as in the `iss` of its tokens. The verifier discovers everything else there (RFC
   * 8414).
   */
  issuer: Type.String({
    // The verifier trusts the keys that it reads there, and sends the client secret there.
    pattern: urlPattern(LOOPBACK),
    description: 'The URL of the service, exactly as in the `iss` of its tokens. The verifier discovers everything ' +
      'else there (RFC 8414).',
    expects: 'an https URL without a query or fragment, or an http URL of this machine (127.0.0.1, localhost, [::1])'
  }),
  /** The required `aud` of tokens, or a list of which tokens must have at least one. Default: the issuer. */
  audience: Type.Optional(Type.Union([
    Type.String({ minLength: 1 }),
    Type.Array(Type.String({ minLength: 1 }), { minItems: 1, uniqueItems: true })
  ], {
    description: 'The required `aud` of tokens, or a list of which tokens must have at least one. Default: the issuer.',
    expects: 'a name or a list of names'
  })),
  /**
   * The id of a machine client with the scope `revocations:read`, and `tokens:introspect` if `whenStale` is
   * `introspect`.
   */
  clientId: Type.Optional(Type.String({
    minLength: 1,
    maxLength: 128,
    description: 'The id of a machine client with the scope `revocations:read`, and `tokens:introspect` if ' +
      '`whenStale` is `introspect`.',
    expects: 'the id of a machine client'
  })),
  /** The secret of that client. */
  clientSecret: Type.Optional(Type.String({
    minLength: 1,
    maxLength: 1_024,
    description: 'The secret of that client.',
    expects: 'the secret of that client'
  })),
  /**
   * `feed`: a revoked token is rejected within `revocationBound`. `none`: it is accepted until it expires, and no
   * client is needed. Default `feed`.
   */
  revocations: Type.Optional(Type.Enum(['feed', 'none'], {
    description: '`feed`: a revoked token is rejected within `revocationBound`. `none`: it is accepted until it ' +
      'expires, and no client is needed.',
    default: 'feed',
    expects: "'feed' or 'none'"
  })),
  /**
   * How long a token may still be accepted after its revocation was acknowledged, at least `500ms`. If the feed is
   * silent for longer, `whenStale` applies to every token. Default `1s`.
   */
  revocationBound: Type.Optional(Type.String({
    pattern: DURATION_PATTERN,
    description: 'How long a token may still be accepted after its revocation was acknowledged, at least `500ms`. If ' +
      'the feed is silent for longer, `whenStale` applies to every token.',
    default: '1s',
    expects: 'a duration such as 1s, at least 500ms'
  })),
  /**
   * What happens to tokens while the feed is silent for longer than the bound. `refuse`: respond 503. `introspect`: ask
   * the service about each token, and respond 503 if it does not answer. Default `refuse`.
   */
  whenStale: Type.Optional(Type.Enum(['refuse', 'introspect'], {
    description: 'What happens to tokens while the feed is silent for longer than the bound. `refuse`: respond 503. ' +
      '`introspect`: ask the service about each token, and respond 503 if it does not answer.',
    default: 'refuse',
    expects: "'refuse' or 'introspect'"
  })),
  /**
   * The scopes that a guard may require, each with a description. A misspelt scope then fails at boot. Default: the
   * scopes that the service lists (`scopes_supported`).
   */
  scopes: Type.Optional(Type.Record(Type.String({ pattern: SCOPE_PATTERN }), Type.String(), {
    description: 'The scopes that a guard may require, each with a description. A misspelt scope then fails at boot. ' +
      'Default: the scopes that the service lists (`scopes_supported`).',
    additionalProperties: false,
    expects: 'names in printable ASCII without spaces, double quotes or backslashes, each with a description'
  })),
  /**
   * The URL at which this machine reaches the service, if it is not the issuer, for example `http://latchkey:3000`.
   * Plain http is allowed for private addresses, names without a dot, and names that end in `.svc`, `.local` or
   * `.internal`. Default: the issuer.
   */
  address: Type.Optional(Type.String({
    pattern: urlPattern(PRIVATE),
    description: 'The URL at which this machine reaches the service, if it is not the issuer, for example ' +
      '`http://latchkey:3000`. Plain http is allowed for private addresses, names without a dot, and names that end ' +
      'in `.svc`, `.local` or `.internal`. Default: the issuer.',
    expects: 'an https URL without a query or fragment, or an http URL of a private address, of a name without a ' +
      'dot, or of a name that ends in .svc, .local or .internal'
  })),
  /** Your own `fetch`, for example to use a proxy or to trust your own certificate. Default: the `fetch` of Node.js. */
  fetch: Type.Optional(Type.Unsafe<typeof globalThis.fetch>({
    callable: [],
    description: 'Your own `fetch`, for example to use a proxy or to trust your own certificate. Default: the ' +
      '`fetch` of Node.js.',
    expects: 'a function'
  }))
}

/** Another service whose tokens are accepted too. All services share the log, the clocks and the kind of ids. */
export const OtherIssuer = Type.Object(issuerOptions, { additionalProperties: false })

/** What `createVerifier(options)` takes. */
export const VerifierOptions = Type.Object({
  ...issuerOptions,
  accepts,
  userIds,
  /**
   * Receives a message when tokens start or stop being accepted, with the reason. The plugin uses the log of the app.
   */
  log: Type.Optional(Type.Unsafe<VerifierLog>({
    type: 'object',
    callable: ['info', 'warn'],
    description: 'Receives a message when tokens start or stop being accepted, with the reason. The plugin uses the ' +
      'log of the app.',
    expects: 'an object with the functions info and warn, such as app.log'
  })),
  /** The source of time, in milliseconds, for tests. Default `Date.now`. */
  now: Type.Optional(Type.Unsafe<() => number>({
    callable: [],
    description: 'The source of time, in milliseconds, for tests. Default `Date.now`.',
    expects: 'a function'
  })),
  /**
   * The source of elapsed time, in milliseconds, which never goes back, for tests. Default `performance.now`, or `now`
   * if that is set.
   */
  stopwatch: Type.Optional(Type.Unsafe<() => number>({
    callable: [],
    description: 'The source of elapsed time, in milliseconds, which never goes back, for tests. Default ' +
      '`performance.now`, or `now` if that is set.',
    expects: 'a function'
  })),
  /**
   * Other services whose tokens are accepted too, for example while you move from one to another. Each has the options
   * of this table up to `fetch`. Default none.
   */
  otherIssuers: Type.Optional(Type.Array(Type.Unsafe<Static<typeof OtherIssuer>>({ type: 'object' }), {
    description: 'Other services whose tokens are accepted too, for example while you move from one to another. Each ' +
      'has the options of this table up to `fetch`.',
    default: [],
    expects: 'a list of objects with the options of one service each'
  }))
}, { additionalProperties: false })

export interface VerifierOptions extends Omit<Static<typeof VerifierOptions>, 'userIds'>, UserIdsOption {}

/** What `app.register(verifier, options)` takes: the same options, and those for the scheme, cookies and decorators. */
export const VerifierPluginOptions = Type.Object(
  { ...VerifierOptions.properties, scheme, cookies, trustedOrigins, decorators },
  { additionalProperties: false }
)

export interface VerifierPluginOptions extends Omit<Static<typeof VerifierPluginOptions>, 'userIds'>, UserIdsOption {}
