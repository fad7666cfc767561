import { setImmediate as nextTurn } from 'node:timers/promises'
import { LatchkeyError } from '../errors.js'
import type { Revocations } from '../revocation/revocations.js'
import type { Clock } from '../time/clock.js'
import type { StateFollower, VerificationKeys } from './verification.js'
import { assertNotOver, assertNotRevoked, revocationUnknown } from './verified-token.js'
import type { SignalOf, VerifiedToken } from './verified-token.js'

/**
 * The work of one step, after which requests go first. The unit is one look at a token. A step takes about a
 * millisecond.
 */
const STEP = 1_000

/** The work of a signature check, and of telling the app that a token is over. */
const SIGNATURE_CHECK = 100
const ABORT = 20

/** Milliseconds between two looks at all tokens, however many rules are written. */
const PAUSE = 50

/** Signals that abort when a token may no longer be used, for what stays open: `request.user.signal`. */
export interface Signals {
  /** Returns the signal of a token, and follows the token until it is over. */
  of: SignalOf
  /** Stops following all tokens. No signal aborts because of that. */
  close (): void
}

/** What the signals depend on. `horizon`: as for `createTokenVerification`. */
interface SignalSources {
  clock: Pick<Clock, 'now'>
  follower: StateFollower
  revocations: Pick<Revocations, 'isRevoked' | 'isStolen' | 'additions'> & Partial<Pick<Revocations, 'onRules'>>
  keys: Pick<VerificationKeys, 'onChange'>
  horizon?: () => number
  /** Milliseconds for which revocations may remain unknown. */
  bound: number
}

interface Followed {
  controller: AbortController
  isTrusted: () => boolean
}

/**
 * Creates the signals. While any token is followed, a timer asks for the changes of other processes, because no request
 * may come that does. If they remain unknown for longer than the bound, all signals abort. A rule costs one look at
 * every followed token, at most twenty times a second.
 */
export function createSignals (sources: SignalSources): Signals {
  const { clock, follower, revocations, keys, bound } = sources
  const followed = new Map<VerifiedToken, Followed>()
  const every = Math.max(PAUSE, bound / 10)
  let timer: NodeJS.Timeout | undefined
  let isClosed = false
  let isLooking = false
  /** Milliseconds of `performance.now()`: when the revocations were known, and when all tokens were last looked at. */
  let knownAt = -Infinity
  let lookedAt = -Infinity
  let additions = -1
  let haveKeysChanged = false
  /** When the next token is over, by the clock. */
  let nextEnd = Infinity

  function abort (token: VerifiedToken, reason: unknown): void {
    followed.get(token)?.controller.abort(reason)
    followed.delete(token)
  }

  async function readChanges (): Promise<void> {
    try {
      await refreshWithin(follower, bound)
      knownAt = performance.now()
    } catch (error) {
      if (performance.now() - knownAt <= bound) return
      for (const token of followed.keys()) abort(token, revocationUnknown(error))
    }
  }

  async function lookAtAll (checksKeys: boolean): Promise<void> {
    nextEnd = Infinity
    let work = 0
    for (const [token, { isTrusted }] of followed) {
      const end = findEnd(token, sources) ?? (checksKeys && !isTrusted() ? new LatchkeyError('invalid_token') : undefined)
      if (end === undefined) nextEnd = Math.min(nextEnd, token.diesAt)
      else abort(token, end)
      work += 1 + (checksKeys ? SIGNATURE_CHECK : 0) + (end === undefined ? 0 : ABORT)
      if (work < STEP) continue
      work = 0
      await nextTurn()
    }
  }

  async function look (): Promise<void> {
    isLooking = true
    timer = undefined
    await readChanges()
    const current = revocations.additions()
    if (current !== additions || haveKeysChanged || clock.now() >= nextEnd) {
      const checksKeys = haveKeysChanged
      haveKeysChanged = false
      additions = current
      lookedAt = performance.now()
      await lookAtAll(checksKeys)
    }
    isLooking = false
    schedule(every)
  }

  function schedule (delay: number): void {
    if (isClosed || isLooking || followed.size === 0) return
    clearTimeout(timer)
    timer = setTimeout(look, delay).unref()
  }

  function lookSoon (): void {
    schedule(Math.max(0, lookedAt + PAUSE - performance.now()))
  }

  revocations.onRules?.(lookSoon)
  keys.onChange(() => {
    haveKeysChanged = true
    lookSoon()
  })

  return {
    of (token, isTrusted) {
      const known = followed.get(token)
      if (known !== undefined) return known.controller.signal
      const end = isClosed ? revocationUnknown(new Error('The app was closed')) : findEnd(token, sources)
      if (end !== undefined) return AbortSignal.abort(end)
      const controller = new AbortController()
      followed.set(token, { controller, isTrusted })
      nextEnd = Math.min(nextEnd, token.diesAt)
      if (followed.size === 1) {
        knownAt = performance.now()
        schedule(every)
      }
      return controller.signal
    },
    close () {
      isClosed = true
      clearTimeout(timer)
      followed.clear()
    }
  }
}

/** Returns why a token is over, or undefined. */
function findEnd (
  token: VerifiedToken, { clock, revocations, horizon = () => 0 }: Omit<SignalSources, 'follower' | 'keys' | 'bound'>
): unknown {
  try {
    assertNotOver(token, clock.now(), horizon())
    assertNotRevoked(token, revocations)
  } catch (error) {
    return error
  }
  return undefined
}

/** Brings the revocations up to date. Rejects if that takes longer than the bound. */
async function refreshWithin (follower: StateFollower, bound: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const tooLong = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error('The store does not answer')), bound).unref()
  })
  try {
    await Promise.race([follower.refresh(), tooLong])
  } finally {
    clearTimeout(timer)
  }
}
