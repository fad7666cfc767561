import { randomBytes } from 'node:crypto'
import { isClient } from '../identity/client-ids.js'
import { LAST_ID_TIME } from '../identity/ids.js'
import { createHalfSipHash } from './half-siphash.js'
import type { RuleTimes } from './rule-slots.js'
import { createRuleTable } from './rule-table.js'
import { readUuid } from './uuid-words.js'

/**
 * What is revoked: one token by its `jti`, a session, or all tokens of a user, of a client or of the users who hold a
 * role.
 */
export interface Rule {
  kind: 'token' | 'session' | 'user' | 'client' | 'role'
  value: string
  /** Milliseconds. Tokens issued before then are dead. Null: all tokens are dead, no matter when they were issued. */
  issuedBefore: number | null
  /** Whether the rule is for a session that ended because two parties used the same refresh token. */
  isStolen?: boolean
  /** Milliseconds. By then the last token that the rule can kill has expired. */
  expiresAt: number
}

/** The part of a token that rules refer to. */
export interface Revocable {
  tokenId: string
  /** Undefined: the token belongs to no session. */
  sessionId: string | undefined
  userId: string
  clientId: string
  /** The roles that the token names. Undefined: none. */
  roles?: readonly string[]
  /** Milliseconds. */
  issuedAt: number
}

/**
 * How long a rule is kept after it stopped mattering, in milliseconds. A verifier's clock may be behind ours, and a
 * change of settings may have made a token live longer.
 */
export const RULE_RETENTION = 24 * 60 * 60 * 1000

/**
 * All live rules, in memory. A look-up is at most four reads from a table on typed arrays or from a map, and one for
 * each role of the token.
 */
export interface RevocationIndex {
  add (rule: Rule): void
  isRevoked (token: Revocable): boolean
  /** Whether this session ended because two parties used the same refresh token. */
  isStolen (sessionId: string): boolean
  /** Whether there is a rule for exactly this token. */
  hasToken (tokenId: string): boolean
  /** See `Revocations.clearFrom`. */
  clearFrom (holder: Pick<Revocable, 'userId' | 'clientId'>): number
  /**
   * Removes rules that expired before `time` (milliseconds), some of them up to a second late. It looks at no more than
   * `limit` places of each kind in the table, and as many in the map. The next call continues from there.
   */
  sweep (time: number, limit: number): void
  readonly size: number
  /** How many rules were ever added. While the number stays the same, no further token has been revoked. */
  additions (): number
}

/**
 * Creates an empty index.
 * @param seed - eight bytes that an attacker cannot guess. With known bytes, an attacker could choose ids that make
 * look-ups slow. Default: random bytes.
 */
export function createRevocationIndex (seed: Buffer = randomBytes(8)): RevocationIndex {
  const hash = createHalfSipHash(seed)
  const token = createRuleSet(hash)
  const session = createRuleSet(hash)
  const user = createRuleSet(hash)
  const client = createRuleSet(hash)
  const role = createRuleSet(hash)
  const sets = { token, session, user, client, role }
  const stolen = new Map<string, RuleTimes>()
  const sweepStolen = createSweeper(stolen)
  let additions = 0
  let clearOfRoles = 0

  return {
    add ({ kind, value, issuedBefore, expiresAt, isStolen }) {
      additions++
      if (isStolen === true) stolen.set(value, { issuedBefore: Infinity, expiresAt })
      // A damaged rule must not change the dates of all users' tokens.
      if (kind === 'role' && (issuedBefore ?? Infinity) <= LAST_ID_TIME) {
        clearOfRoles = Math.max(clearOfRoles, issuedBefore ?? 0)
      }
      sets[kind].add(value, issuedBefore ?? Infinity, expiresAt)
    },
    isRevoked ({ tokenId, sessionId, userId, clientId, roles, issuedAt }) {
      return token.kills(tokenId, issuedAt) ||
        (sessionId !== undefined && session.kills(sessionId, issuedAt)) ||
        user.kills(userId, issuedAt) ||
        client.kills(clientId, issuedAt) ||
        (roles !== undefined && roles.some(name => role.kills(name, issuedAt)))
    },
    isStolen: sessionId => stolen.has(sessionId),
    hasToken: token.has,
    clearFrom ({ userId, clientId }) {
      const time = Math.max(user.clearFrom(userId), client.clearFrom(clientId))
      // A damaged rule kills all tokens.
      // A client's own token names no role.
      return Math.max(time === Infinity ? 0 : time, isClient({ id: userId, clientId }) ? 0 : clearOfRoles)
    },
    sweep (time, limit) {
      for (const set of Object.values(sets)) set.sweep(time, limit)
      sweepStolen(time, limit)
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
  /** Returns the time from which its rule kills no token, or 0 if there is no rule. */
  clearFrom (value: string): number
  sweep (time: number, limit: number): void
  readonly size: number
}

/**
 * Creates the rules of one kind. Our own ids are UUIDs, and there may be millions, so the table holds them as numbers
 * only. Other ids, such as a host's user ids or the tokens of an older system, go into a map. The text alone decides.
 */
function createRuleSet (hash: (words: Int32Array, offset: number) => number): RuleSet {
  const table = createRuleTable(hash)
  const others = new Map<string, RuleTimes>()
  const sweepOthers = createSweeper(others)
  /** The value that is being looked up right now. */
  const key = new Int32Array(4)

  return {
    add (value, issuedBefore, expiresAt) {
      if (readUuid(value, key)) {
        table.add(key, { issuedBefore, expiresAt })
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
      // Usually the map is empty. Then computing the hash of the text is a waste.
      if (others.size === 0) return false
      const entry = others.get(value)
      return entry !== undefined && issuedAt < entry.issuedBefore
    },
    clearFrom: value => readUuid(value, key) ? table.clearFrom(key) : others.get(value)?.issuedBefore ?? 0,
    sweep (time, limit) {
      table.sweep(time, limit)
      sweepOthers(time, limit)
    },
    get size () {
      return table.size + others.size
    }
  }
}

/** Each call continues where the last one stopped: a map's iterator survives insertions and deletions. */
function createSweeper (entries: Map<string, RuleTimes>): (time: number, limit: number) => void {
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
