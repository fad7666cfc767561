const SECOND = 1_000
const HOUR = 3_600 * SECOND

/** Consecutive failures that cost nothing: people mistype. */
const FREE = 10

/** Consecutive failures after which no more are let through: NIST SP 800-63B-4 section 3.2.2. */
const MOST = 100

/**
 * The wait after the first failure that costs something; it doubles with each one that follows, up to the longest.
 * Milliseconds.
 */
const FIRST_WAIT = SECOND
const LONGEST_WAIT = HOUR

/**
 * How long a failure is remembered after the last attempt, in milliseconds; how long a bucket is closed after the last
 * failure of all.
 */
const MEMORY = 24 * HOUR

/**
 * Attempts of one bucket that may be under way at once while failures cost nothing. With the free failures they are
 * fewer than the most: whoever sends a thousand guesses at once gets no more out of it than with one after the other.
 */
export const AT_ONCE = 64

/**
 * An attempt under way for longer than this, in milliseconds, is lost: the process that made it has died, and it counts
 * as a failure.
 */
const LOST = 300 * SECOND

/** What is known of the attempts on one bucket. Times are milliseconds. */
export interface Attempts {
  /** Consecutive failures. */
  failures: number
  /** When each attempt that is under way began. */
  pending: readonly number[]
  lastAttemptAt: number
  /** 0 where it is not blocked. */
  blockedUntil: number
}

/** How an attempt ended. `void`: without a word about the password. */
export type Outcome = 'succeeded' | 'failed' | 'void'

const NONE: Attempts = { failures: 0, pending: [], lastAttemptAt: 0, blockedUntil: 0 }

/** The wait, in milliseconds, after so many consecutive failures. */
export function waitAfter (failures: number): number {
  if (failures <= FREE) return 0
  return failures >= MOST ? MEMORY : Math.min(FIRST_WAIT * 2 ** (failures - FREE - 1), LONGEST_WAIT)
}

/** When these attempts are forgotten. Never before a block ends. */
export function expiryOf ({ lastAttemptAt }: Attempts): number {
  return lastAttemptAt + MEMORY
}

/**
 * Whether these can be the attempts on a bucket. They must be whole numbers, and no time may be further ahead than the
 * times that we write.
 */
export function isCredible ({ failures, pending, lastAttemptAt, blockedUntil }: Attempts, now: number): boolean {
  return (
    [failures, ...pending, lastAttemptAt, blockedUntil].every(number => Number.isSafeInteger(number) && number >= 0) &&
    failures <= MOST &&
    pending.length <= AT_ONCE &&
    Math.max(lastAttemptAt, ...pending) <= now + MEMORY &&
    blockedUntil <= now + 2 * MEMORY
  )
}

/**
 * Whether one more attempt may begin: the milliseconds to wait where it may not, else the attempts with the new one
 * among those under way, which is written down before the password is looked at.
 */
export function begin (before: Attempts | undefined, now: number): { wait: number } | { attempts: Attempts } {
  const { failures, pending, blockedUntil } = asOf(before, now)
  if (now < blockedUntil) return { wait: blockedUntil - now }
  // From the first wait on one at a time, or a burst at its end would be as many guesses for the price of one.
  if (pending.length >= (failures < FREE ? AT_ONCE : 1)) return { wait: SECOND }
  return { attempts: { failures, pending: [...pending, now], lastAttemptAt: now, blockedUntil } }
}

/** The attempts after the one that began at `begunAt` has ended; undefined where there is nothing left to remember. */
export function settle (
  before: Attempts | undefined,
  { begunAt, outcome, now }: { begunAt: number, outcome: Outcome, now: number }
): Attempts | undefined {
  const { failures, pending, lastAttemptAt, blockedUntil } = asOf(before, now)
  const place = pending.indexOf(begunAt)
  const others = pending.filter((_time, index) => index !== place)
  if (outcome === 'failed') {
    // One that was given up for lost is counted already.
    const isCounted = place === -1 && now >= begunAt + LOST && failures > 0
    const total = Math.min(failures + (isCounted ? 0 : 1), MOST)
    return {
      failures: total,
      pending: others,
      lastAttemptAt: now,
      blockedUntil: Math.max(blockedUntil, now + waitAfter(total))
    }
  }
  const left = outcome === 'succeeded' ? { failures: 0, blockedUntil: 0 } : { failures, blockedUntil }
  return left.failures === 0 && others.length === 0 ? undefined : { ...left, pending: others, lastAttemptAt }
}

function asOf (attempts: Attempts | undefined, now: number): Attempts {
  if (attempts === undefined || now >= expiryOf(attempts)) return NONE
  const pending = attempts.pending.filter(begunAt => now < begunAt + LOST)
  const lost = attempts.pending.length - pending.length
  if (lost === 0) return attempts
  const failures = Math.min(attempts.failures + lost, MOST)
  // No wait for what was lost: the guesser has learnt nothing. The last of all closes the bucket all the same.
  return {
    ...attempts,
    failures,
    pending,
    blockedUntil: failures === MOST ? expiryOf(attempts) : attempts.blockedUntil
  }
}
