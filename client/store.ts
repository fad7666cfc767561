/** What a login or a refresh gave. */
export interface Tokens {
  accessToken: string
  refreshToken: string
  /** Which login they come from: a refresh keeps it. */
  login: string
  /** When the access token is to be refreshed, in milliseconds since 1970. */
  refreshAt: number
}

/** Where tokens are kept. Both may be asynchronous; `write(undefined)` forgets them. */
export interface TokenStore {
  read (): Tokens | undefined | Promise<Tokens | undefined>
  write (tokens: Tokens | undefined): void | Promise<void>
}

/** Keeps tokens until the page, or the process, is gone. */
export function createMemoryStore (): TokenStore {
  let kept: Tokens | undefined
  return {
    read: () => kept,
    write (tokens) { kept = tokens }
  }
}
