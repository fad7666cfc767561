import { randomBytes } from 'node:crypto'
import { createHalfSipHash } from './half-siphash.js'
import { createRuleTable } from './rule-table.js'
import { readUuid } from './uuid-words.js'

/** What is revoked: one token by its `jti`, a session, all tokens of a user or of a client. */
export interface Rule {
  kind: 'token' | 'session' | 'user' | 'client'
  value: string
  /** Milliseconds; tokens issued before are dead. Null: whenever they were issued. */
  issuedBefore: number | null
  /** Milliseconds; when the last token that the rule could kill has expired. */
  expiresAt: number
}

/** The part of a token that rules speak of. */
export interface Revocable {
  tokenId: string
  /** Undefined: the token belongs to no session. */
  sessionId: string | undefined
  userId: string
  clientId: string
  /** Milliseconds. */
  issuedAt: number
}

/** How long a rule is kept after it can matter, in milliseconds: a verifier's clock may be behind ours, a settings change may have lengthened a token. */
export const RULE_RETENTION = 24 * 60 * 60 * 1000

/** All live rules, in memory: a look-up is at most four reads, of a table on typed arrays or of a map. */
export interface RevocationIndex {
  add (rule: Rule): void
  isRevoked (token: Revocable): boolean
  /** Whether there is a rule for this very token. */
  hasToken (tokenId: string): boolean
  /**
   * Forgets rules that expired before `time` (milliseconds), or up to a second later, looking at no more than `limit` places of each
   * kind in the table, and as many in the map. The next call goes on where this one stopped.
   */
  sweep (time: number, limit: number): void
  readonly size: number
  /** How many rules were ever added. As long as it stays the same, no token that was not revoked is. */
  additions (): number
}

/**
 * Creates an empty index.
 * @param seed - eight bytes that nobody can guess, who could otherwise choose ids that make look-ups slow. Default: random ones.
 */
export function createRevocationIndex (seed: Buffer = randomBytes(8)): RevocationIndex {
  const hash = createHalfSipHash(seed)
  const token = createRuleSet(hash)
  const session = createRuleSet(hash)
  const user = createRuleSet(hash)
  const client = createRuleSet(hash)
  const sets = { token, session, user, client }
  let additions = 0

  return {
    add ({ kind, value, issuedBefore, expiresAt }) {
      additions++
      sets[kind].add(value, issuedBefore ?? Infinity, expiresAt)
    },
    isRevoked ({ tokenId, sessionId, userId, clientId, issuedAt }) {
      return token.kills(tokenId, issuedAt) ||
        (sessionId !== undefined && session.kills(sessionId, issuedAt)) ||
        user.kills(userId, issuedAt) ||
        client.kills(clientId, issuedAt)
    },
    hasToken: token.has,
    sweep (time, limit) {
      for (const set of Object.values(sets)) set.sweep(time, limit)
    },
    get size () {
      return Object.values(sets).reduce((size, set) => size + set.size, 0)
    },
    additions: () => additions
  }
}

/** The rules of one kind. */
interface RuleSet {
  add (value: string, issuedBefore: number, expiresAt: number): void
  has (value: string): boolean
  kills (value: string, issuedAt: number): boolean
  sweep (time: number, limit: number): void
  readonly size: number
}

type Entry = { issuedBefore: number, expiresAt: number }

/**
 * What we name ourselves is a UUID, and there may be millions of them: these stand in the table, and as text nowhere. All else, a
 * host's own user ids or the tokens of an older system, stands in a map. Which of them is said by the text alone.
 */
function createRuleSet (hash: (words: Int32Array, offset: number) => number): RuleSet {
  const table = createRuleTable(hash)
  const others = new Map<string, Entry>()
  const sweepOthers = createSweeper(others)
  /** Of the value that is just being looked at. */
  const key = new Int32Array(4)

  return {
    add (value, issuedBefore, expiresAt) {
      if (readUuid(value, key)) {
        table.add(key, issuedBefore, expiresAt)
        return
      }
      const known = others.get(value)
      others.set(value, {
        issuedBefore: Math.max(issuedBefore, known?.issuedBefore ?? -Infinity),
        expiresAt: Math.max(expiresAt, known?.expiresAt ?? -Infinity)
      })
    },
    has: value => readUuid(value, key) ? table.has(key) : others.has(value),
    kills (value, issuedAt) {
      if (readUuid(value, key)) return table.kills(key, issuedAt)
      // Most have none: the hash of a text is not computed for nothing.
      if (others.size === 0) return false
      const entry = others.get(value)
      return entry !== undefined && issuedAt < entry.issuedBefore
    },
    sweep (time, limit) {
      table.sweep(time, limit)
      sweepOthers(time, limit)
    },
    get size () {
      return table.size + others.size
    }
  }
}

/** Goes on where the last call stopped: a map's iterator lives through insertions and deletions. */
function createSweeper (entries: Map<string, Entry>): (time: number, limit: number) => void {
  let position = entries.entries()
  return function sweep (time, limit) {
    for (let looked = 0; looked < limit; looked++) {
      const { value, done } = position.next()
      if (done === true) {
        position = entries.entries()
        return
      }
      if (value[1].expiresAt < time) entries.delete(value[0])
    }
  }
}
