import { CLIENT_ID_PREFIX } from '../../schemas/clients.js'

/** The `client_id` of tokens that were not made for a registered client: RFC 9068 section 2.2 wants one. */
export const FIRST_PARTY = 'latchkey'

/** Whether an access token is a client's own, and not a user's. */
export function isClient ({ id, clientId }: { id: string, clientId: string }): boolean {
  return id === clientId
}

/** Whether no user may have this id: a token would look like a client's (RFC 9068 section 5, RFC 9700 section 4.15). */
export function isReservedId (id: string): boolean {
  return id.startsWith(CLIENT_ID_PREFIX) || id === FIRST_PARTY
}
