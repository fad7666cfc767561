/** A bounded map of what was last used. */
export interface TokenCache<T> {
  get (token: string): T | undefined
  set (token: string, value: T): void
  clear (): void
}

/** The end of a token, which is of its signature: as good a key as the whole, of which the hash costs ten times as much. */
const KEY_LENGTH = 43

interface Entry<T> {
  token: string
  value: T
}

/**
 * Keeps at most `2 * half` entries and at least the `half` last used. Two maps instead of a list of uses: when the young one
 * is full it becomes the old one and the old one is dropped, so a hit costs one look-up and no bookkeeping.
 */
export function createTokenCache<T> (half: number): TokenCache<T> {
  let young = new Map<string, Entry<T>>()
  let old = new Map<string, Entry<T>>()

  function put (key: string, entry: Entry<T>): void {
    young.set(key, entry)
    if (young.size >= half) {
      old = young
      young = new Map()
    }
  }

  return {
    get (token) {
      const key = token.slice(-KEY_LENGTH)
      const entry = young.get(key)
      // Another text with the same end is another token.
      if (entry !== undefined) return entry.token === token ? entry.value : undefined
      const older = old.get(key)
      if (older === undefined || older.token !== token) return undefined
      put(key, older)
      return older.value
    },
    set (token, value) {
      put(token.slice(-KEY_LENGTH), { token, value })
    },
    clear () {
      young = new Map()
      old = new Map()
    }
  }
}
