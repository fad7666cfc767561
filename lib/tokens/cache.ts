/** A bounded map of the tokens that were used last. */
export interface TokenCache<T> {
  get (token: string): T | undefined
  set (token: string, value: T): void
  delete (token: string): void
  clear (): void
}

/**
 * How many characters at the end of a token are its key in the map. They belong to the signature, so they identify the
 * token as well as the whole text, whose hash costs ten times as much.
 */
const KEY_LENGTH = 43

interface Entry<T> {
  token: string
  value: T
}

/**
 * Creates a cache that keeps at most `2 * half` entries, and at least the `half` that were used last. It has two maps
 * instead of a list of uses. When the young map is full, it becomes the old one, and the old one is dropped. So a hit
 * costs one lookup and no bookkeeping.
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
      // A different text with the same end is a different token.
      if (entry !== undefined) return entry.token === token ? entry.value : undefined
      const older = old.get(key)
      if (older === undefined || older.token !== token) return undefined
      put(key, older)
      return older.value
    },
    set (token, value) {
      put(token.slice(-KEY_LENGTH), { token, value })
    },
    delete (token) {
      const key = token.slice(-KEY_LENGTH)
      for (const map of [young, old]) {
        if (map.get(key)?.token === token) map.delete(key)
      }
    },
    clear () {
      young = new Map()
      old = new Map()
    }
  }
}
