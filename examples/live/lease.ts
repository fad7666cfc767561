// Ties a connection of server.ts to its token, and to the fresh token that replaces it.
//
//   node dist/examples/live/server.js

import type { AuthenticatedUser, LatchkeyError } from 'fastify-latchkey'

/** Limits how long a connection may stay open: as long as its token, or the fresh token that replaced it, is valid. */
export interface Lease {
  /** The user, as the latest token describes them. */
  readonly user: AuthenticatedUser
  /** Follows a fresh token from now on. Returns false, and changes nothing, if it belongs to another user. */
  renew (user: AuthenticatedUser): boolean
  /** Stops following the token. Call it when the connection has closed. */
  end (): void
}

/**
 * Creates the lease of a connection.
 * @param close - closes the connection. Called once, with the reason why the token must no longer be used.
 */
export function createLease (first: AuthenticatedUser, close: (reason: LatchkeyError) => void): Lease {
  let user = first
  // Kept, because after the end of a token `user.signal` is another object than before.
  let signal = follow(first)

  function onAbort (): void {
    close(signal.reason as LatchkeyError)
  }

  function follow (next: AuthenticatedUser): AbortSignal {
    const { signal } = next
    if (signal.aborted) close(signal.reason as LatchkeyError)
    else signal.addEventListener('abort', onAbort, { once: true })
    return signal
  }

  return {
    get user () {
      return user
    },
    renew (next) {
      if (next.id !== user.id) return false
      signal.removeEventListener('abort', onAbort)
      user = next
      signal = follow(next)
      return true
    },
    end () {
      // All connections of a token share its signal. A listener that stays would keep the closed connection in memory.
      signal.removeEventListener('abort', onAbort)
    }
  }
}
