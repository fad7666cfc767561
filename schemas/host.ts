import type { UserId } from './user-ids.js'

/** An account, as sessions and tokens see it. */
export interface User {
  /**
   * Becomes the claim `sub`, as text. It must never change, and never be reused for another account. With the option
   * `userIds: 'integer'` it is a safe integer, 0 or more.
   */
  id: UserId
  username: string
  /**
   * All granted scopes, including those of the roles. A login can ask for fewer. Your own directory need not include
   * the scopes of the roles.
   */
  scopes: readonly string[]
  /** The roles that the user holds (option `roles`). Default: none. */
  roles?: readonly string[]
}

/**
 * The accounts that can log in: the built-in table, or the host's own (option `users`). Both methods can be called many
 * times in parallel, and both return null for an account that may not log in.
 */
export interface UserDirectory {
  /**
   * Returns the user with this username and password, or null. It should take the same time for an unknown username as
   * for a wrong password.
   * @param address - the address that the attempt comes from.
   */
  authenticate (username: string, password: string, address?: string): Promise<User | null>
  /**
   * Returns the user with this id as it is now, or null if there is none. It is called at each refresh and for
   * `/users/me`.
   */
  find (id: UserId): Promise<User | null>
}

/** Adds the host's claims to an access token (option `claims`). It is called at each login and refresh. */
export type ClaimsHook = (
  user: User,
  scopes: readonly string[]
) => Record<string, unknown> | Promise<Record<string, unknown>>
