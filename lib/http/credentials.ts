import { LatchkeyError } from '../errors.js'

/** The scheme of RFC 6750. Every app accepts it, because verifiers and OAuth clients use no other scheme. */
export const BEARER = 'Bearer'

/**
 * Returns the token of an `Authorization` header (RFC 6750 section 2.1). The scheme can be in any case (RFC 9110
 * section 11.1).
 * @param own - the app's scheme (option `scheme`), accepted besides `Bearer`.
 * @returns undefined if there is no header, or one with another scheme. A proxy may ask for a password of its own.
 */
export function readBearer (authorization: string | undefined, own = BEARER): string | undefined {
  if (authorization === undefined || authorization === '') return undefined
  if (authorization.startsWith('Bearer ')) return authorization.slice(7).trimStart()
  if (!hasTokenScheme(authorization, own)) return undefined
  const space = authorization.indexOf(' ')
  return space === -1 ? '' : authorization.slice(space + 1).trimStart()
}

/** Whether an `Authorization` header has a scheme that carries access tokens. */
export function hasTokenScheme (authorization: string, own: string): boolean {
  const scheme = authorization.split(' ', 1)[0]?.toLowerCase()
  return scheme === 'bearer' || scheme === own.toLowerCase()
}

/**
 * Returns the client id and secret of an HTTP Basic header, both form-decoded (RFC 6749 section 2.3.1), or undefined
 * for any other header.
 */
export function readBasic (authorization: string | undefined): { id: string, secret: string } | undefined {
  const encoded = /^Basic ([A-Za-z0-9+/]*={0,2})$/i.exec(authorization ?? '')?.[1]
  if (encoded === undefined) return undefined
  const text = Buffer.from(encoded, 'base64').toString()
  const colon = text.indexOf(':')
  if (colon === -1) return undefined
  try {
    return { id: formDecode(text.slice(0, colon)), secret: formDecode(text.slice(colon + 1)) }
  } catch {
    return undefined
  }
}

function formDecode (text: string): string {
  return decodeURIComponent(text.replaceAll('+', ' '))
}

/**
 * Returns the `WWW-Authenticate` header for an error (RFC 6750 section 3). If the request had no credentials, it is the
 * bare scheme (section 3.1). Otherwise it has the code, the message, and the missing scope or the maximum age of the
 * login (RFC 9470 section 3).
 * @param scheme - the app's scheme (option `scheme`).
 */
export function challengeOf (error: LatchkeyError, scheme = BEARER): string {
  if (error.code === 'unauthenticated') return scheme
  const attributes = [`error="${error.oauth ?? 'invalid_request'}"`, `error_description="${error.message}"`]
  if (error.scope !== undefined) attributes.push(`scope="${error.scope}"`)
  if (error.maxAge !== undefined) attributes.push(`max_age="${error.maxAge}"`)
  return `${scheme} ${attributes.join(', ')}`
}

/** The parts of an error that determine its headers. */
type Reported = Pick<LatchkeyError, 'statusCode' | 'retryAfter'>

/**
 * Returns the headers of the response that reports an error.
 * @param status - the status of the response. It decides whether there is a challenge. Default: that of the error.
 */
export function errorHeaders (
  error: Reported, scheme: string, status = error.statusCode
): Record<string, string> {
  const challenge = neededChallenge(error, scheme, status)
  return {
    ...(challenge === undefined ? {} : { 'www-authenticate': challenge }),
    ...(error.retryAfter === undefined ? {} : { 'retry-after': String(error.retryAfter) })
  }
}

/**
 * RFC 9110 section 15.5.2: a 401 always has a challenge. RFC 6750 section 3: so does a missing scope. No other response
 * has one, because OAuth clients then look for the error there and not in the body. The challenge describes the error
 * only if an access token caused it.
 */
function neededChallenge (error: Reported, scheme: string, status: number): string | undefined {
  if (error instanceof LatchkeyError) {
    const isAboutToken = error.oauth === 'invalid_token' || error.oauth === 'insufficient_user_authentication'
    if (status === 401 && isAboutToken) return challengeOf(error, scheme)
    if (status === 403 && error.code === 'insufficient_scope') return challengeOf(error, scheme)
  }
  return status === 401 ? scheme : undefined
}

/** The credentials of the client that sent a request. A public client has no secret: RFC 6749 section 2.1. */
export interface ClientCredentials {
  id: string
  secret: string | undefined
}

/**
 * Returns the client credentials of a request to an OAuth endpoint, from HTTP Basic or from the body (RFC 6749 section
 * 2.3.1). A first-party app need not send any, and the result is then undefined. Empty members count as absent, because
 * Swagger UI and FastAPI clients send them.
 * @throws `invalid_request` if the request has two sets of credentials (section 2.3). With HTTP Basic, the body may
 * still repeat the id. `invalid_client` if there is a secret without an id, because an unchecked secret must not seem
 * to be verified.
 */
export function readClient (
  authorization: string | undefined,
  { client_id: id = '', client_secret: secret = '' }: { client_id?: string, client_secret?: string }
): ClientCredentials | undefined {
  const basic = /^Basic\b/i.test(authorization ?? '') ? readBasic(authorization) : { id: '', secret: '' }
  if (basic === undefined) throw new LatchkeyError('invalid_client')
  const isBasic = basic.id !== '' || basic.secret !== ''
  if (isBasic && (secret !== '' || (id !== '' && id !== basic.id))) {
    throw new LatchkeyError('invalid_request', {
      message: 'The client authenticates in two ways: use HTTP Basic or the body, not both.'
    })
  }
  const given = isBasic ? basic : { id, secret }
  if (given.id === '' && given.secret === '') return undefined
  if (given.id === '') throw new LatchkeyError('invalid_client')
  return { id: given.id, secret: given.secret === '' ? undefined : given.secret }
}
