import { describeGrantType, GRANT_TYPES } from '../../schemas/grants.js'
import type { GrantTypeName } from '../../schemas/grants.js'
import { LatchkeyError } from '../errors.js'
import { clientCredentials } from './client-credentials.js'
import type { GrantHandler, GrantServices, Issued, Requester } from './grant-handler.js'
import { password } from './password.js'
import { refreshToken } from './refresh-token.js'

/** The handler of each grant type in `schemas/grants.ts`. */
const HANDLERS: { readonly [Name in GrantTypeName]: GrantHandler<Name> } = {
  password,
  refresh_token: refreshToken,
  client_credentials: clientCredentials
}

/** The body of `POST /token`, after validation against its schema. */
export type TokenBody = Readonly<Record<string, unknown>>

/**
 * Returns the grant type that a body names. A body with a username and no grant type means a password, because
 * FastAPI's password form and its clients send none.
 */
function nameOf ({ grant_type: name, username }: TokenBody): unknown {
  return name ?? (username === undefined ? undefined : 'password')
}

function isGrantType (name: unknown): name is GrantTypeName {
  return (GRANT_TYPES as readonly unknown[]).includes(name)
}

function lacks (member: string): LatchkeyError {
  return new LatchkeyError('invalid_request', { message: `The body lacks the member '${member}'.` })
}

/** Whether the rate limit counts a request with this body. It also counts bodies without a known grant type. */
export function isGuess (body: TokenBody): boolean {
  const name = nameOf(body)
  return !isGrantType(name) || describeGrantType(name).isGuessable
}

/**
 * Creates the function that exchanges a body for a grant: RFC 6749 section 3.2.
 * @param disabled - the grant types that the options switch off.
 */
export function createExchange (services: GrantServices, disabled: readonly GrantTypeName[]) {
  return async function exchange (body: TokenBody, requester: Requester): Promise<Issued> {
    const name = nameOf(body)
    if (name === undefined) throw lacks('grant_type')
    if (!isGrantType(name) || disabled.includes(name)) throw new LatchkeyError('unsupported_grant_type')
    const { allowedBy, needsClient, parameters } = describeGrantType(name)
    const { client } = requester
    if (needsClient && client === undefined) throw new LatchkeyError('invalid_client')
    // RFC 6749 section 5.2. A first-party app may use every grant type that needs no client.
    if (client !== undefined && !client.grants.some(grant => grant === allowedBy)) {
      throw new LatchkeyError('unauthorized_client')
    }
    const missing = parameters.required?.find(member => body[member] === undefined)
    if (missing !== undefined) throw lacks(missing)
    const handle = HANDLERS[name] as (parameters: TokenBody, ...others: [Requester, GrantServices]) => Promise<Issued>
    return await handle(body, requester, services)
  }
}
