/** The tokens of a login or a refresh. */
export interface Tokens {
  accessToken: string
  refreshToken: string
  /** Identifies the login that they come from. A refresh keeps it. */
  login: string
  /** When to refresh the access token, in milliseconds since 1970. */
  refreshAt: number
}

/** A place for tokens. Both methods may be asynchronous. `write(undefined)` removes the tokens. */
export interface TokenStore {
  read (): Tokens | undefined | Promise<Tokens | undefined>
  write (tokens: Tokens | undefined): void | Promise<void>
}

/** Keeps tokens in memory, until the page is closed or the process ends. */
export function createMemoryStore (): TokenStore {
  let kept: Tokens | undefined
  return {
    read: () => kept,
    write (tokens) { kept = tokens }
  }
}
