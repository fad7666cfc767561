import type { GrantHandler } from './grant-handler.js'

/** RFC 6749 section 4.3. */
export const password: GrantHandler<'password'> = async (
  { username, password, scope }, { client, sender }, { logIn }
) => await logIn({ username, password, scope, client }, sender)
