/** A bounded map of what was last used. */
export interface TokenCache<T> {
  get (token: string): T | undefined
  set (token: string, value: T): void
  clear (): void
}

/**
 * Keeps at most `2 * half` entries and at least the `half` last used. Two maps instead of a list of uses: when the young one
 * is full it becomes the old one and the old one is dropped, so a hit costs one look-up and no bookkeeping.
 */
export function createTokenCache<T> (half: number): TokenCache<T> {
  let young = new Map<string, T>()
  let old = new Map<string, T>()

  function set (token: string, value: T): void {
    young.set(token, value)
    if (young.size >= half) {
      old = young
      young = new Map()
    }
  }

  return {
    get (token) {
      const value = young.get(token)
      if (value !== undefined) return value
      const older = old.get(token)
      if (older !== undefined) set(token, older)
      return older
    },
    set,
    clear () {
      young = new Map()
      old = new Map()
    }
  }
}
