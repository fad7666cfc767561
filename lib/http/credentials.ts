import { LatchkeyError } from '../errors.js'

/**
 * Returns the token of an `Authorization` header (RFC 6750 section 2.1). The scheme can be in any case (RFC 9110
 * section 11.1).
 * @returns undefined if there is no header.
 * @throws `unauthenticated` for another scheme, because such a request must not fall back to the cookie.
 */
export function readBearer (authorization: string | undefined): string | undefined {
  if (authorization === undefined || authorization === '') return undefined
  if (authorization.startsWith('Bearer ')) return authorization.slice(7).trimStart()
  const space = authorization.indexOf(' ')
  const scheme = space === -1 ? authorization : authorization.slice(0, space)
  if (scheme.toLowerCase() !== 'bearer') throw new LatchkeyError('unauthenticated')
  return space === -1 ? '' : authorization.slice(space + 1).trimStart()
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
 * Returns the `WWW-Authenticate` header for an error (RFC 6750 section 3). If the request had no credentials, it is a
 * bare `Bearer` (section 3.1). Otherwise it has the code, the message and the missing scope.
 */
export function challengeOf (error: LatchkeyError): string {
  if (error.code === 'unauthenticated') return 'Bearer'
  const attributes = [`error="${error.oauth ?? 'invalid_request'}"`, `error_description="${error.message}"`]
  if (error.scope !== undefined) attributes.push(`scope="${error.scope}"`)
  return `Bearer ${attributes.join(', ')}`
}

/** The credentials of the client that sent a request. */
export interface ClientCredentials {
  id: string
  secret: string
}

/**
 * Returns the client credentials of a request to an OAuth endpoint, from HTTP Basic or from the body (RFC 6749 section
 * 2.3.1). A first-party app sends none, and the result is undefined. Empty members count as absent, because Swagger UI
 * and FastAPI clients send them.
 * @throws `invalid_request` if the request has two sets of credentials (section 2.3). With HTTP Basic, the body may
 * still repeat the id. `invalid_client` if the id or the secret is missing, because an unchecked id or secret must not
 * seem to be verified.
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
  const credentials = isBasic ? basic : { id, secret }
  if (credentials.id === '' && credentials.secret === '') return undefined
  if (credentials.id === '' || credentials.secret === '') throw new LatchkeyError('invalid_client')
  return credentials
}
