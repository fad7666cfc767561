import type { GrantHandler } from './grant-handler.js'

/** RFC 6749 section 6. */
export const refreshToken: GrantHandler<'refresh_token'> = async (
  { refresh_token: token, scope }, { client, sender: { address } }, { sessions }
) => await sessions.refresh(token, { client, scope, address })
