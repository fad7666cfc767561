import type { Rule } from '../revocation/rule-index.js'
import type { TokenLife } from './token-life.js'

/** A token whose signal was read. */
export interface WatchedToken {
  token: TokenLife
  controller: AbortController
}

/** What tokens are found by: what a rule names, or their key. */
type Kind = Rule['kind'] | 'key'

/**
 * The tokens whose signals have been read, found by what they name. So the cost of a rule depends only on the tokens
 * that it revokes.
 */
export interface WatchedTokens {
  add (entry: WatchedToken): void
  delete (entry: WatchedToken): void
  /** Gives an entry what a later verification of the same token says. */
  renew (entry: WatchedToken, token: TokenLife): void
  /** Returns the tokens that name `value`. */
  find (kind: Kind, value: string): WatchedToken[]
  /** Returns the `kid` of every key that verified one of the tokens. */
  kids (): string[]
  all (): Iterable<WatchedToken>
  readonly size: number
}

/** Creates an empty set. */
export function createWatchedTokens (): WatchedTokens {
  const entries = new Set<WatchedToken>()
  const groups: Record<Kind, Group> = {
    token: createGroup(),
    session: createGroup(),
    user: createGroup(),
    client: createGroup(),
    role: createGroup(),
    key: createGroup()
  }

  function add (entry: WatchedToken): void {
    entries.add(entry)
    for (const [kind, value] of namesOf(entry.token)) groups[kind].add(value, entry)
  }

  function remove (entry: WatchedToken): void {
    entries.delete(entry)
    for (const [kind, value] of namesOf(entry.token)) groups[kind].delete(value, entry)
  }

  return {
    add,
    delete: remove,
    renew (entry, token) {
      if (entry.token === token) return
      remove(entry)
      entry.token = token
      add(entry)
    },
    find: (kind, value) => groups[kind].find(value),
    kids: () => groups.key.values(),
    all: () => entries,
    get size () {
      return entries.size
    }
  }
}

function namesOf ({ kid, revocable }: TokenLife): Array<[Kind, string]> {
  const { tokenId, sessionId, userId, clientId, roles = [] } = revocable
  const names: Array<[Kind, string]> = [['token', tokenId], ['user', userId], ['client', clientId]]
  if (kid !== undefined) names.push(['key', kid])
  for (const role of roles) names.push(['role', role])
  if (sessionId !== undefined) names.push(['session', sessionId])
  return names
}

/** Tokens by one of the values that they name. */
interface Group {
  add (value: string, entry: WatchedToken): void
  delete (value: string, entry: WatchedToken): void
  find (value: string): WatchedToken[]
  values (): string[]
}

/** Creates an empty group. Most values belong to one token, which then needs no set. */
function createGroup (): Group {
  const members = new Map<string, WatchedToken | Set<WatchedToken>>()

  return {
    add (value, entry) {
      const known = members.get(value)
      if (known === undefined) members.set(value, entry)
      else if (known instanceof Set) known.add(entry)
      else members.set(value, new Set([known, entry]))
    },
    delete (value, entry) {
      const known = members.get(value)
      if (known instanceof Set) known.delete(entry)
      if (known === entry || (known instanceof Set && known.size === 0)) members.delete(value)
    },
    find (value) {
      const known = members.get(value)
      if (known === undefined) return []
      return known instanceof Set ? [...known] : [known]
    },
    values: () => [...members.keys()]
  }
}
