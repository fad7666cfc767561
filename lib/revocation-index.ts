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

/** All live rules, in memory: a look-up is at most four map reads. */
export interface RevocationIndex {
  add (rule: Rule): void
  isRevoked (token: Revocable): boolean
  /** Whether there is a rule for this very token. */
  hasToken (tokenId: string): boolean
  /** Forgets rules that expired before `time`, looking at no more than `limit` of each kind. The next call goes on where this one stopped. */
  sweep (time: number, limit: number): void
  readonly size: number
}

type Entry = { issuedBefore: number, expiresAt: number }

/** Creates an empty index. */
export function createRevocationIndex (): RevocationIndex {
  const entries = {
    token: new Map<string, Entry>(),
    session: new Map<string, Entry>(),
    user: new Map<string, Entry>(),
    client: new Map<string, Entry>()
  }
  const sweepers = Object.values(entries).map(createSweeper)

  return {
    add ({ kind, value, issuedBefore, expiresAt }) {
      const entry = { issuedBefore: issuedBefore ?? Infinity, expiresAt }
      const known = entries[kind].get(value)
      if (known !== undefined) {
        entry.issuedBefore = Math.max(entry.issuedBefore, known.issuedBefore)
        entry.expiresAt = Math.max(entry.expiresAt, known.expiresAt)
      }
      entries[kind].set(value, entry)
    },
    isRevoked ({ tokenId, sessionId, userId, clientId, issuedAt }) {
      return kills(entries.token.get(tokenId), issuedAt) ||
        (sessionId !== undefined && kills(entries.session.get(sessionId), issuedAt)) ||
        kills(entries.user.get(userId), issuedAt) ||
        kills(entries.client.get(clientId), issuedAt)
    },
    hasToken: tokenId => entries.token.has(tokenId),
    sweep (time, limit) {
      for (const sweepKind of sweepers) sweepKind(time, limit)
    },
    get size () {
      return entries.token.size + entries.session.size + entries.user.size + entries.client.size
    }
  }
}

function kills (entry: Entry | undefined, issuedAt: number): boolean {
  return entry !== undefined && issuedAt < entry.issuedBefore
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
