import { LatchkeyError } from '../errors.js'

/**
 * The token of an `Authorization` header: RFC 6750 section 2.1, the scheme in any case (RFC 9110 section 11.1).
 * @returns undefined where there is no header.
 * @throws `unauthenticated` for another scheme: it must not fall through to the cookie.
 */
export function readBearer (authorization: string | undefined): string | undefined {
  if (authorization === undefined || authorization === '') return undefined
  if (authorization.startsWith('Bearer ')) return authorization.slice(7).trimStart()
  const space = authorization.indexOf(' ')
  const scheme = space === -1 ? authorization : authorization.slice(0, space)
  if (scheme.toLowerCase() !== 'bearer') throw new LatchkeyError('unauthenticated')
  return space === -1 ? '' : authorization.slice(space + 1).trimStart()
}

/** Client id and secret of an HTTP Basic header, both form-decoded (RFC 6749 section 2.3.1); undefined for any other header. */
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
 * The value of the `WWW-Authenticate` header for an error: RFC 6750 section 3. A bare `Bearer` where no credentials were sent
 * (section 3.1), else the code, the sentence and the scope that is missing.
 */
export function challengeOf (error: LatchkeyError): string {
  if (error.code === 'unauthenticated') return 'Bearer'
  const attributes = [`error="${error.oauth ?? 'invalid_request'}"`, `error_description="${error.message}"`]
  if (error.scope !== undefined) attributes.push(`scope="${error.scope}"`)
  return `Bearer ${attributes.join(', ')}`
}

/** What a request says of its client. */
export interface ClientCredentials {
  id: string
  secret: string
}

/**
 * Id and secret of the client that a request to an OAuth endpoint says it comes from: RFC 6749 section 2.3.1, by HTTP Basic or in
 * the body. Undefined where it says nothing of one: a first-party app. Empty members are nothing; Swagger UI and FastAPI clients
 * send them.
 * @throws `invalid_request` where it says so twice (section 2.3; the id alone may stand in the body too), `invalid_client` where one half is
 * missing: a name or a secret that was not checked must not look as if it had been.
 */
export function readClient (authorization: string | undefined, { client_id: id = '', client_secret: secret = '' }: { client_id?: string, client_secret?: string }): ClientCredentials | undefined {
  const basic = /^Basic\b/i.test(authorization ?? '') ? readBasic(authorization) : { id: '', secret: '' }
  if (basic === undefined) throw new LatchkeyError('invalid_client')
  const isBasic = basic.id !== '' || basic.secret !== ''
  if (isBasic && (secret !== '' || (id !== '' && id !== basic.id))) throw new LatchkeyError('invalid_request', { message: 'The client must authenticate in one way: by HTTP Basic, or in the body.' })
  const credentials = isBasic ? basic : { id, secret }
  if (credentials.id === '' && credentials.secret === '') return undefined
  if (credentials.id === '' || credentials.secret === '') throw new LatchkeyError('invalid_client')
  return credentials
}
