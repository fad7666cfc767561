// Access tokens of Latchkey, checked without it: by the keys that it publishes, and, where it matters, by asking. Run it with demo.ts:
//
//   node dist/examples/resource-server/demo.js

import { createRemoteJWKSet, errors, jwtVerify } from 'jose'
import type { JWTPayload } from 'jose'
import type { FastifyRequest } from 'fastify'

/** The claims of RFC 9068 section 2.2 that the routes go by. */
export interface Claims extends JWTPayload {
  sub: string
  client_id: string
  scope: string
}

declare module 'fastify' {
  interface FastifyRequest {
    /** Whose token it is; there where a guard ran. */
    claims: Claims
  }
}

export interface AccessOptions {
  /** Where the tokens come from: the option `issuer` of the service, to the letter. */
  issuer: string
  /** This API: what the service has in its option `audience`. A token for another one is not taken. */
  audience: string
  /** The machine client with the scope `tokens:introspect`, as which the service is asked. */
  client: { id: string, secret: string }
}

type Guard = (request: FastifyRequest) => Promise<void>

export interface Access {
  /** Asks for a token with this scope. Knows nothing of revocation: a revoked token passes until it expires. */
  requireScope (scope: string): Guard
  /** The same, and asks the service whether the token is live in this moment. A request more for each of ours. */
  requireLive (scope: string): Guard
}

/** What the service signs with; its default. Never HS256: nobody but the service has that key. */
const ALGORITHMS = ['ES256']

/** Milliseconds until the published keys are read again: their `max-age`. A key that nobody has seen is asked for at once. */
const KEYS_MAX_AGE = 300_000

/** Milliseconds that the service has for an answer. */
const TIMEOUT = 5_000

/** What jose says of a token. Anything else that it throws is about the keys: they could not be read, and the token may be good. */
const TOKEN_FAULTS = [
  errors.JWTExpired, errors.JWTClaimValidationFailed, errors.JWTInvalid, errors.JWSInvalid, errors.JWSSignatureVerificationFailed,
  errors.JOSEAlgNotAllowed, errors.JOSENotSupported, errors.JWKSNoMatchingKey, errors.JWKSMultipleMatchingKeys
]

/** Finds out where the service has its endpoints, and makes the guards. Rejects where it cannot be reached. */
export async function createAccess ({ issuer, audience, client }: AccessOptions): Promise<Access> {
  const { jwksUri, introspectionEndpoint } = await discover(issuer)
  const keys = createRemoteJWKSet(jwksUri, { cacheMaxAge: KEYS_MAX_AGE, timeoutDuration: TIMEOUT })
  const authorization = `Basic ${Buffer.from(`${encodeURIComponent(client.id)}:${encodeURIComponent(client.secret)}`).toString('base64')}`

  async function verify (token: string): Promise<Claims> {
    try {
      const { payload } = await jwtVerify<Claims>(token, keys, {
        issuer,
        audience,
        algorithms: ALGORITHMS,
        typ: 'at+jwt', // An access token, and no other JWT of the same key: RFC 9068 section 4.
        requiredClaims: ['sub', 'exp', 'iat', 'jti', 'client_id', 'scope'],
        clockTolerance: 5
      })
      return payload
    } catch (error) {
      if (error instanceof errors.JWTExpired) throw invalidToken('The access token expired.')
      if (TOKEN_FAULTS.some(fault => error instanceof fault)) throw invalidToken('The access token is invalid.')
      throw unavailable(error)
    }
  }

  /** RFC 7662 section 2. A token that cannot be asked about does not pass. */
  async function isLive (token: string): Promise<boolean> {
    try {
      const body = new URLSearchParams({ token, token_type_hint: 'access_token' })
      const response = await fetch(introspectionEndpoint, { method: 'POST', headers: { authorization }, body, signal: AbortSignal.timeout(TIMEOUT), redirect: 'error' })
      if (response.status !== 200) throw new Error(`The introspection endpoint answered ${response.status}`)
      const { active } = await response.json() as { active?: unknown }
      return active === true
    } catch (error) {
      throw unavailable(error)
    }
  }

  async function check (request: FastifyRequest, scope: string): Promise<string> {
    const token = /^Bearer +([\w.~+/-]+=*)$/i.exec(request.headers.authorization ?? '')?.[1]
    if (token === undefined) throw refusal(401, 'Authentication is required.', 'Bearer')
    const claims = await verify(token)
    if (typeof claims.scope !== 'string' || !claims.scope.split(' ').includes(scope)) {
      throw refusal(403, 'The access token lacks a scope.', `Bearer error="insufficient_scope", scope="${scope}"`)
    }
    request.claims = claims
    return token
  }

  return {
    requireScope: scope => async request => { await check(request, scope) },
    requireLive: scope => async request => {
      const token = await check(request, scope)
      if (!await isLive(token)) throw invalidToken('The access token was revoked.')
    }
  }
}

/** RFC 8414 section 3: the well-known part comes between the host of the issuer and its path. */
async function discover (issuer: string): Promise<{ jwksUri: URL, introspectionEndpoint: URL }> {
  const { origin, pathname } = new URL(issuer)
  const url = `${origin}/.well-known/oauth-authorization-server${pathname.replace(/(?<!\/)\/+$/, '')}`
  const response = await fetch(url, { signal: AbortSignal.timeout(TIMEOUT) })
  const metadata = await response.json() as { issuer: string, jwks_uri: string, introspection_endpoint: string }
  // Section 3.3: else anybody's document could name anybody's keys.
  if (response.status !== 200 || metadata.issuer !== issuer) throw new Error(`${url} is not of the issuer ${issuer}`)
  return { jwksUri: new URL(metadata.jwks_uri), introspectionEndpoint: new URL(metadata.introspection_endpoint) }
}

/** An error that Fastify answers with this status and challenge: RFC 6750 section 3. */
function refusal (statusCode: number, message: string, challenge: string): Error {
  return Object.assign(new Error(message), { statusCode, headers: { 'www-authenticate': challenge } })
}

function invalidToken (message: string): Error {
  return refusal(401, message, `Bearer error="invalid_token", error_description="${message}"`)
}

/** Not 401: the client would throw a good token away. */
function unavailable (cause: unknown): Error {
  return Object.assign(new Error('It cannot be told whether this token is good: try again in a moment.', { cause }), { statusCode: 503, headers: { 'retry-after': '1' } })
}
