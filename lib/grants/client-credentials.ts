import type { GrantHandler } from './grant-handler.js'

/** RFC 6749 section 4.4. */
export const clientCredentials: GrantHandler<'client_credentials'> = async (
  { scope }, { client, sender: { address } }, { clients }
) => await clients.issue(client, { scope, address })
