const SECOND = 1_000
const HOUR = 3_600 * SECOND

/** Consecutive failures that cause no wait, because people mistype. */
const FREE = 10

/** Consecutive failures after which the bucket is closed: NIST SP 800-63B-4 section 3.2.2. */
const MOST = 100

/**
 * The wait after the first failure that causes one, in milliseconds. It doubles with each further failure, up to the
 * longest wait.
 */
const FIRST_WAIT = SECOND
const LONGEST_WAIT = HOUR

/**
 * How long failures are remembered after the last attempt, in milliseconds. A bucket is closed for the same time once
 * it has `MOST` failures.
 */
const MEMORY = 24 * HOUR

/**
 * How many attempts on one bucket may be under way at once while failures cause no wait. Together with the free
 * failures they are fewer than `MOST`, so a thousand guesses sent at once gain no more than a thousand sent one by one.
 */
export const AT_ONCE = 64

/**
 * An attempt that is under way for longer than this, in milliseconds, is lost, because its process has died. It counts
 * as a failure.
 */
const LOST = 300 * SECOND

/** What is remembered about the attempts on one bucket. Times are in milliseconds. */
export interface Attempts {
  /** Consecutive failures. */
  failures: number
  /** When each attempt that is under way began. */
  pending: readonly number[]
  lastAttemptAt: number
  /** 0 if the bucket is not blocked. */
  blockedUntil: number
}

/** How an attempt ended. `void` means that it did not show whether the password is right. */
export type Outcome = 'succeeded' | 'failed' | 'void'

const NONE: Attempts = { failures: 0, pending: [], lastAttemptAt: 0, blockedUntil: 0 }

/** Returns the wait, in milliseconds, after this many consecutive failures. */
export function waitAfter (failures: number): number {
  if (failures <= FREE) return 0
  return failures >= MOST ? MEMORY : Math.min(FIRST_WAIT * 2 ** (failures - FREE - 1), LONGEST_WAIT)
}

/** Returns when these attempts are forgotten, which is never before a block ends. */
export function expiryOf ({ lastAttemptAt }: Attempts): number {
  return lastAttemptAt + MEMORY
}

/**
 * Whether these can be the attempts on a bucket. All numbers must be whole and in range, and no time may be further
 * after the last attempt than any time that we write.
 */
export function isCredible ({ failures, pending, lastAttemptAt, blockedUntil }: Attempts): boolean {
  return (
    [failures, ...pending, lastAttemptAt, blockedUntil].every(number => Number.isSafeInteger(number) && number >= 0) &&
    failures <= MOST &&
    pending.length <= AT_ONCE &&
    Math.max(lastAttemptAt, ...pending) === lastAttemptAt &&
    blockedUntil <= lastAttemptAt + 2 * MEMORY
  )
}

/**
 * Decides whether one more attempt may begin. If not, returns the milliseconds to wait. Otherwise returns the attempts
 * with the new one under way. Store them before the password is checked.
 */
export function begin (before: Attempts | undefined, now: number): { wait: number } | { attempts: Attempts } {
  const { failures, pending, blockedUntil } = asOf(before, now)
  if (now < blockedUntil) return { wait: blockedUntil - now }
  // Once the next failure causes a wait, attempts run one at a time. Otherwise a burst at the end of a wait would be
  // many guesses for the price of one.
  if (pending.length >= (failures < FREE ? AT_ONCE : 1)) return { wait: SECOND }
  return { attempts: { failures, pending: [...pending, now], lastAttemptAt: now, blockedUntil } }
}

/** Whether the next attempt need not be stored before its check, because its failure would cause no wait. */
export function mayRunUnstored ({ failures, pending }: Attempts): boolean {
  return failures + pending.length < FREE
}

/**
 * Returns the attempts after the one that began at `begunAt` has ended. Returns undefined if there is nothing left to
 * remember.
 */
export function settle (
  before: Attempts | undefined,
  { begunAt, outcome, now }: { begunAt: number, outcome: Outcome, now: number }
): Attempts | undefined {
  const { failures, pending, lastAttemptAt, blockedUntil } = asOf(before, now)
  const place = pending.indexOf(begunAt)
  const others = pending.filter((_time, index) => index !== place)
  if (outcome === 'failed') {
    // A lost attempt was already counted as a failure.
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

/** Returns the attempts as of now. Old ones are forgotten, and lost ones are counted as failures. */
function asOf (attempts: Attempts | undefined, now: number): Attempts {
  if (attempts === undefined || now >= expiryOf(attempts)) return NONE
  // The clock was set back. How long the wait was to last is unknown, but the failures are not.
  if (attempts.lastAttemptAt > now + SECOND) return { ...attempts, pending: [], lastAttemptAt: now, blockedUntil: 0 }
  const pending = attempts.pending.filter(begunAt => now < begunAt + LOST)
  const lost = attempts.pending.length - pending.length
  if (lost === 0) return attempts
  const failures = Math.min(attempts.failures + lost, MOST)
  // A lost attempt causes no wait, because its sender has learnt nothing. But failure number `MOST` still closes the
  // bucket.
  return {
    ...attempts,
    failures,
    pending,
    blockedUntil: failures === MOST ? expiryOf(attempts) : attempts.blockedUntil
  }
}
