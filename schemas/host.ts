/** An account, as sessions and tokens see it. */
export interface User {
  /** What becomes `sub`: it never changes and is never given to somebody else. */
  id: string
  username: string
  /** All that is granted; a login can ask for fewer. */
  scopes: readonly string[]
}

/**
 * The accounts behind the logins: the built-in table, or the host's own (option `users`). Both methods may be called many
 * times at once. An account that may not log in is null for both.
 */
export interface UserDirectory {
  /**
   * The user whose username and password these are, or null. Should take the same time for an unknown username as for a wrong password.
   * @param address - where the attempt comes from.
   */
  authenticate (username: string, password: string, address?: string): Promise<User | null>
  /** The user with this id, as of now, or null where there is none any more. Asked at each refresh and for `/users/me`. */
  find (id: string): Promise<User | null>
}

/** Adds the host's claims to an access token (option `claims`). Asked at each login and refresh. */
export type ClaimsHook = (user: User, scopes: readonly string[]) => Record<string, unknown> | Promise<Record<string, unknown>>
