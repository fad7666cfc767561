import { Type } from 'typebox'
import type { Static } from 'typebox'
import { SCOPE_PATTERN } from './common.js'
import { DURATION_PATTERN, Options } from './options.js'

// One schema makes the type, the check and the table in docs/reference: see `schemas/options.ts`.

/** Told what goes on: the `log` of a Fastify app will do. */
export interface VerifierLog {
  info (details: object, message: string): void
  warn (details: object, message: string): void
}

/** What `createVerifier(options)` takes. */
export const VerifierOptions = Type.Object({
  /** The URL of the service whose tokens are verified, as it stands in their `iss`. */
  issuer: Type.String({
    // What is read there decides which tokens are good, and the secret of the client goes there.
    pattern: '^(https://[^/?#@\\s]+|http://(127\\.[0-9.]+|localhost|\\[::1\\])(:[0-9]{1,5})?)(/[^?#\\s]*)?$',
    description: 'The URL of the service, to the letter as it stands in the `iss` of its tokens. Everything else is discovered there (RFC 8414).',
    expects: 'an https URL without query and fragment, or an http one of this machine (127.0.0.1, localhost, [::1])'
  }),
  /** The `aud` that tokens must have, or one of them. Default: the issuer. */
  audience: Type.Optional(Type.Union([Type.String({ minLength: 1 }), Type.Array(Type.String({ minLength: 1 }), { minItems: 1, uniqueItems: true })], {
    description: 'The `aud` that tokens must have, or a list of which they must have one. Default: the issuer.',
    expects: 'a name or a list of names'
  })),
  /** The id of a machine client with the scope `revocations:read`, and `tokens:introspect` where `whenStale` is `introspect`. */
  clientId: Type.Optional(Type.String({
    minLength: 1,
    maxLength: 128,
    description: 'The id of a machine client with the scope `revocations:read`, and `tokens:introspect` where `whenStale` is `introspect`.',
    expects: 'the id of a machine client'
  })),
  /** Its secret. */
  clientSecret: Type.Optional(Type.String({
    minLength: 1,
    maxLength: 1_024,
    description: 'Its secret.',
    expects: 'the secret of that client'
  })),
  /** `feed`: a revoked token is refused within the bound. `none`: it lives until it expires. Default `feed`. */
  revocations: Type.Optional(Type.Enum(['feed', 'none'], {
    description: '`feed`: a revoked token is refused within `revocationBound`. `none`: it is accepted until it expires, and no client is needed.',
    default: 'feed',
    expects: "'feed' or 'none'"
  })),
  /** How long a revoked token may still be accepted; at least `500ms`. Default `1s`. */
  revocationBound: Type.Optional(Type.String({
    pattern: DURATION_PATTERN,
    description: 'How long after its revocation was acknowledged a token may still be accepted. Without news for longer nothing is: see `whenStale`. At least `500ms`.',
    default: '1s',
    expects: 'a duration such as 1s, at least 500ms'
  })),
  /** What happens to tokens while the feed is cut: `refuse` them with 503, or ask `/introspect` for each. Default `refuse`. */
  whenStale: Type.Optional(Type.Enum(['refuse', 'introspect'], {
    description: 'What happens to tokens while the feed is cut for longer than the bound: `refuse` them with 503, or `introspect` each at the service, and refuse those of which it cannot tell.',
    default: 'refuse',
    expects: "'refuse' or 'introspect'"
  })),
  /** The scopes that a guard may ask for, with a description each. Default: those that the service lists. */
  scopes: Type.Optional(Type.Record(Type.String({ pattern: SCOPE_PATTERN }), Type.String(), {
    description: 'The scopes that a guard may ask for, each with a description: a misspelt one then stops the boot. Default: those that the service lists (`scopes_supported`).',
    additionalProperties: false,
    expects: 'names of printable ASCII without spaces, quotes and backslashes, each with a description'
  })),
  /** Told when tokens begin or cease to be accepted, and why. Default: nobody is; the plugin takes the log of the app. */
  log: Type.Optional(Type.Unsafe<VerifierLog>({
    type: 'object',
    callable: ['info', 'warn'],
    description: 'Told when tokens begin or cease to be accepted, and why. The plugin takes the log of the app.',
    expects: 'an object with the functions info and warn, as app.log'
  })),
  /** How requests are made. Default: the `fetch` of Node.js. */
  fetch: Type.Optional(Type.Unsafe<typeof globalThis.fetch>({
    callable: [],
    description: 'How requests are made: to go through a proxy, or to trust a certificate of your own. Default: the `fetch` of Node.js.',
    expects: 'a function'
  })),
  /** The source of time in milliseconds, for tests. Default `Date.now`. */
  now: Type.Optional(Type.Unsafe<() => number>({
    callable: [],
    description: 'The source of time, in milliseconds, for tests. Default `Date.now`.',
    expects: 'a function'
  })),
  /** The source of elapsed time in milliseconds, never set back, for tests. Default `performance.now`, or `now` where that is given. */
  stopwatch: Type.Optional(Type.Unsafe<() => number>({
    callable: [],
    description: 'The source of elapsed time, in milliseconds and never set back, for tests. Default `performance.now`, or `now` where that is given.',
    expects: 'a function'
  }))
}, { additionalProperties: false })

export type VerifierOptions = Static<typeof VerifierOptions>

const { cookies, trustedOrigins } = Options.properties

/** What `app.register(verifier, options)` takes: the same, and how tokens come in cookies. */
export const VerifierPluginOptions = Type.Object({ ...VerifierOptions.properties, cookies, trustedOrigins }, { additionalProperties: false })

export type VerifierPluginOptions = Static<typeof VerifierPluginOptions>
