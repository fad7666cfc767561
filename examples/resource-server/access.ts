// Checks Latchkey's access tokens without Latchkey: with the published keys, and for sensitive routes by asking the
// service. demo.ts runs it:
//
//   node dist/examples/resource-server/demo.js

import { createRemoteJWKSet, errors, jwtVerify } from 'jose'
import type { JWTPayload } from 'jose'
import type { FastifyRequest } from 'fastify'

/** The claims of RFC 9068 section 2.2 that the routes use. */
export interface Claims extends JWTPayload {
  sub: string
  client_id: string
  scope: string
}

declare module 'fastify' {
  interface FastifyRequest {
    /** The claims of the token. Set only after a guard has run. */
    claims: Claims
  }
}

export interface AccessOptions {
  /** The option `issuer` of the service, character for character. */
  issuer: string
  /** The name of this API in the option `audience` of the service. Tokens for another API are rejected. */
  audience: string
  /** The machine client that asks the service. It needs the scope `tokens:introspect`. */
  client: { id: string, secret: string }
}

type Guard = (request: FastifyRequest) => Promise<void>

export interface Access {
  /** Requires a token with this scope. It does not check revocation: a revoked token passes until it expires. */
  requireScope (scope: string): Guard
  /** Also asks the service whether the token is live now. This costs one request for each request to the API. */
  requireLive (scope: string): Guard
}

/** The algorithm that the service signs with by default. Never HS256, because only the service may have that key. */
const ALGORITHMS = ['ES256']

/** Milliseconds until the published keys are read again: their `max-age`. An unknown key triggers a read at once. */
const KEYS_MAX_AGE = 300_000

/** Milliseconds that the service may take to respond. */
const TIMEOUT = 5_000

/**
 * The errors of jose that concern the token. All others mean that the keys could not be read, so the token may be
 * valid.
 */
const TOKEN_FAULTS = [
  errors.JWTExpired,
  errors.JWTClaimValidationFailed,
  errors.JWTInvalid,
  errors.JWSInvalid,
  errors.JWSSignatureVerificationFailed,
  errors.JOSEAlgNotAllowed,
  errors.JOSENotSupported,
  errors.JWKSNoMatchingKey,
  errors.JWKSMultipleMatchingKeys
]

/** Discovers the endpoints of the service and creates the guards. Rejects if the service cannot be reached. */
export async function createAccess ({ issuer, audience, client }: AccessOptions): Promise<Access> {
  const { jwksUri, introspectionEndpoint } = await discover(issuer)
  const keys = createRemoteJWKSet(jwksUri, { cacheMaxAge: KEYS_MAX_AGE, timeoutDuration: TIMEOUT })
  const authorization =
    `Basic ${Buffer.from(`${encodeURIComponent(client.id)}:${encodeURIComponent(client.secret)}`).toString('base64')}`

  async function verify (token: string): Promise<Claims> {
    try {
      const { payload } = await jwtVerify<Claims>(token, keys, {
        issuer,
        audience,
        algorithms: ALGORITHMS,
        typ: 'at+jwt', // Only an access token, not another JWT of the same key: RFC 9068 section 4.
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

  /** RFC 7662 section 2. If the service does not answer, the token does not pass. */
  async function isLive (token: string): Promise<boolean> {
    try {
      const body = new URLSearchParams({ token, token_type_hint: 'access_token' })
      const response = await fetch(introspectionEndpoint, {
        method: 'POST',
        headers: { authorization },
        body,
        signal: AbortSignal.timeout(TIMEOUT),
        redirect: 'error'
      })
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
  // Section 3.3: without this check, an attacker's metadata could name the attacker's keys.
  if (response.status !== 200 || metadata.issuer !== issuer) {
    throw new Error(`${url} is not the metadata of the issuer ${issuer}`)
  }
  return { jwksUri: new URL(metadata.jwks_uri), introspectionEndpoint: new URL(metadata.introspection_endpoint) }
}

/** An error that Fastify turns into a response with this status and challenge: RFC 6750 section 3. */
function refusal (statusCode: number, message: string, challenge: string): Error {
  return Object.assign(new Error(message), { statusCode, headers: { 'www-authenticate': challenge } })
}

function invalidToken (message: string): Error {
  return refusal(401, message, `Bearer error="invalid_token", error_description="${message}"`)
}

/** 503 and not 401, because a client discards its token on a 401. */
function unavailable (cause: unknown): Error {
  const error = new Error('The status of the token is currently unknown. Try again in a moment.', { cause })
  return Object.assign(error, { statusCode: 503, headers: { 'retry-after': '1' } })
}
