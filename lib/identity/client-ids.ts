import { CLIENT_ID_PREFIX } from '../../schemas/clients.js'

/** The `client_id` of tokens that were not made for a registered client. RFC 9068 section 2.2 requires one. */
export const FIRST_PARTY = 'latchkey'

/** Whether an access token is a machine client's own, not a user's. */
export function isClient ({ id, clientId }: { id: string, clientId: string }): boolean {
  return id === clientId
}

/**
 * Whether an id is reserved. If a user had it, their token would look like a client's own (RFC 9068 section 5, RFC 9700
 * section 4.15).
 */
export function isReservedId (id: string): boolean {
  return id.startsWith(CLIENT_ID_PREFIX) || id === FIRST_PARTY
}
