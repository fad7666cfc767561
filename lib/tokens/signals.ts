import { setMaxListeners } from 'node:events'
import type { ErrorCode } from '../../schemas/errors.js'
import { LatchkeyError } from '../errors.js'
import type { Revocations } from '../revocation/revocations.js'
import type { Rule } from '../revocation/rule-index.js'
import type { Clock } from '../time/clock.js'
import { createKnowledgeWatch } from './knowledge-watch.js'
import type { Knowledge } from './knowledge-watch.js'
import { endByRules, endOf } from './token-life.js'
import type { TokenLife } from './token-life.js'
import { createWatchedTokens } from './watched-tokens.js'
import type { WatchedToken } from './watched-tokens.js'

/** How many signals abort in one step, because each of them runs the listeners of the host. */
const STEP = 100

/** A signal that is about to abort. */
interface Ending {
  entry: WatchedToken
  createReason: () => LatchkeyError
}

/** The signals of tokens: they abort when the token must no longer be used. */
export interface TokenSignals {
  /**
   * Returns a signal that aborts when the token is revoked or expires, when its key is revoked, or when the revocations
   * stay unknown for longer than the bound. Its reason is the LatchkeyError with which a guard would now refuse the
   * token. If a guard would refuse the token already, the signal is aborted. All verifications of the same token share
   * a signal.
   */
  of (token: TokenLife): AbortSignal
  /** Aborts the signals of the tokens that these rules kill. Call it when the rules are in the index. */
  noteRules (rules: readonly Rule[]): void
  /** Aborts the signals of the tokens whose key is no longer trusted. Call it when keys have changed. */
  noteKeys (): void
  /** Aborts all signals, and each one that is read later, with `revocation_unknown`. */
  close (): void
}

/** What determines whether a token is valid. */
interface Sources {
  clock: Pick<Clock, 'now'>
  /** Whether tokens of the key with this `kid` may be trusted. */
  trusts: (kid: string, now: number) => boolean
  revocations: Pick<Revocations, 'isRevoked' | 'isStolen' | 'horizon'>
}

/**
 * Creates the signals of a node or a verifier. Until the first one is read, there is no timer and nothing in memory.
 * @param bound - milliseconds for which revocations may remain unknown.
 * @param stopwatch - returns milliseconds since some moment, and is never set back.
 */
export function createTokenSignals ({ knowledge, bound, stopwatch, ...sources }: Sources & {
  knowledge: Knowledge
  bound: number
  stopwatch: () => number
}): TokenSignals {
  const { clock, trusts } = sources
  const findEnd = createJudge(sources)
  const watched = createWatchedTokens()
  /** Milliseconds: no watched token dies earlier than this by its times. */
  let nextEnd = Infinity
  let isClosed = false

  function end (endings: readonly Ending[]): void {
    for (const { entry } of endings) watched.delete(entry)
    abortInSteps(endings)
    if (watched.size === 0) watch.stop()
  }

  /** Aborts the signals of those tokens that are no longer valid. */
  function endDead (entries: Iterable<WatchedToken>): void {
    const dead: Ending[] = []
    for (const entry of entries) {
      const code = findEnd(entry.token)
      if (code !== undefined) dead.push({ entry, createReason: () => new LatchkeyError(code) })
    }
    if (dead.length > 0) end(dead)
  }

  function noteKeys (): void {
    for (const kid of watched.kids()) {
      if (!trusts(kid, clock.now())) endDead(watched.find('key', kid))
    }
  }

  function endExpired (): void {
    const now = clock.now()
    if (now < nextEnd) return
    const over: WatchedToken[] = []
    nextEnd = Infinity
    for (const entry of watched.all()) {
      if (entry.token.diesAt <= now) over.push(entry)
      else nextEnd = Math.min(nextEnd, entry.token.diesAt)
    }
    endDead(over)
  }

  function endAll (createReason: () => LatchkeyError): void {
    end([...watched.all()].map(entry => ({ entry, createReason })))
  }

  const watch = createKnowledgeWatch({
    knowledge,
    stopwatch,
    bound,
    isNeeded: () => watched.size > 0,
    onLook () {
      endExpired()
      // A key may reach its end without a change to the keys.
      noteKeys()
    },
    onUnknown: () => endAll(() => new LatchkeyError('revocation_unknown', { retryAfter: 1 }))
  })

  return {
    of (token) {
      if (isClosed) return AbortSignal.abort(closing())
      const code = findEnd(token)
      if (code !== undefined) return AbortSignal.abort(new LatchkeyError(code))
      const same = watched.find('token', token.revocable.tokenId).find(entry => isSame(entry.token, token))
      // Its key may have been given a different end since, or its owner different roles.
      if (same !== undefined) watched.renew(same, token)
      nextEnd = Math.min(nextEnd, token.diesAt)
      return (same ?? add(token)).controller.signal
    },
    noteRules (rules) {
      if (watched.size === 0) return
      for (const { kind, value } of rules) endDead(watched.find(kind, value))
    },
    noteKeys,
    close () {
      isClosed = true
      watch.stop()
      endAll(closing)
    }
  }

  function add (token: TokenLife): WatchedToken {
    const entry = { token, controller: new AbortController() }
    // Each connection of the token adds a listener, so many of them are no leak.
    setMaxListeners(0, entry.controller.signal)
    watched.add(entry)
    watch.start()
    return entry
  }
}

/** Returns the code of the error with which a guard would refuse a token now, or undefined. */
function createJudge ({ clock, trusts, revocations }: Sources): (token: TokenLife) => ErrorCode | undefined {
  return function findEnd (token) {
    const now = clock.now()
    const code = endOf(token, now, revocations.horizon())
    if (code !== undefined) return code
    if (token.kid !== undefined && !trusts(token.kid, now)) return 'invalid_token'
    return endByRules(token, revocations)
  }
}

function closing (): LatchkeyError {
  const message = 'This server is closing, so it no longer follows the revocations: connect again.'
  return new LatchkeyError('revocation_unknown', { message, retryAfter: 1 })
}

/**
 * Whether two verifications were of the same token. Its id alone is not enough, because the host may choose it. The
 * date of a personal access token does not count, because each read gives it a new one.
 */
function isSame (one: TokenLife, other: TokenLife): boolean {
  const [a, b] = [one.revocable, other.revocable]
  return one.kid === other.kid && one.expiresAt === other.expiresAt && a.userId === b.userId &&
    a.sessionId === b.sessionId && a.clientId === b.clientId &&
    (one.kid === undefined || a.issuedAt === b.issuedAt)
}

/** The first step happens at once, so a user's sockets are usually closed before the revocation is acknowledged. */
function abortInSteps (endings: readonly Ending[]): void {
  for (const { entry, createReason } of endings.slice(0, STEP)) entry.controller.abort(createReason())
  const rest = endings.slice(STEP)
  if (rest.length > 0) setImmediate(abortInSteps, rest)
}
