import type { VerificationKey, VerificationKeys } from '../lib/tokens/verification.js'
import type { JwkSet } from './jwks.js'
import { ageOf, readMoment } from '../lib/time/elapsed-time.js'
import type { Moment, Stopwatches } from '../lib/time/elapsed-time.js'

/** Milliseconds between two readings that were caused by a name that anybody can make up. */
const SEEK_PAUSE = 60_000

/** Milliseconds that a reading counts for, whatever the service says: a revoked key must be noticed, and the service left in peace. */
const [SHORTEST_AGE, LONGEST_AGE] = [60_000, 300_000]

/** Milliseconds until the next try after one that failed: doubled with each, up to a minute. */
const FIRST_PAUSE = 1_000
const LONGEST_PAUSE = 60_000

/** Milliseconds that keys are believed after the last reading, where no feed vouches for them. */
const KEYS_LIFE = 3_600_000

/** A reading of the JWKS. */
export interface JwksReading extends JwkSet {
  /** Milliseconds; undefined where the service does not say. */
  maxAge: number | undefined
}

/** The keys of the service, as its JWKS has them. */
export interface KeySource {
  /** All keys that were read last. */
  readonly all: VerificationKeys
  /** Those among them that the feed vouches for. */
  readonly vouched: VerificationKeys
  /** Reads them. Whoever asks while they are being read gets the same reading. */
  load (): Promise<void>
  /** Begins to read them where it is time for that again; the promise, which never rejects, is of that reading, also where somebody else began it. */
  loadIfDue (): Promise<void> | undefined
  /** Takes what the feed says: these verify, and no others. What is not here yet is read at once. */
  vouch (kids: readonly string[]): void
  /** Whether they were ever read. */
  areThere (): boolean
  /** Whether they were read so lately that they may be believed without a feed. */
  areRecent (): boolean
}

/**
 * Creates the key source.
 * @param read - reads the JWKS, and rejects where it cannot.
 * @param onRead - told of each reading.
 * @param onFailure - told why keys could not be read, where nobody waits for them.
 */
export function createKeySource ({ read, time, onRead, onFailure }: {
  read: () => Promise<JwksReading>
  time: Stopwatches
  onRead: () => void
  onFailure: (error: unknown) => void
}): KeySource {
  let jwks: JwkSet = { keys: new Map(), kids: new Set(), text: '' }
  let vouchedKids: ReadonlySet<string> = new Set()
  let readAt: Moment | undefined
  let maxAge = SHORTEST_AGE
  let triedAt: Moment | undefined
  let failures = 0
  /** Readings since the feed last spoke of other keys. */
  let missed = 0
  let loading: Promise<void> | undefined
  const listeners: Array<() => void> = []

  function tell (): void {
    for (const listener of listeners) listener()
  }

  async function readOnce (): Promise<void> {
    // Sent now: what the service changes later is not in it.
    const sent = triedAt = readMoment(time)
    try {
      const reading = await read()
      const isNew = reading.text !== jwks.text
      if (isNew) jwks = reading
      readAt = sent
      maxAge = Math.min(Math.max(reading.maxAge ?? 0, SHORTEST_AGE), LONGEST_AGE)
      failures = 0
      if (isNew) tell()
      onRead()
    } catch (error) {
      failures++
      throw error
    } finally {
      loading = undefined
    }
  }

  function load (): Promise<void> {
    loading ??= readOnce()
    return loading
  }

  function hasPaused (pause: number): boolean {
    return triedAt === undefined || ageOf(triedAt, time) >= pause
  }

  /** Milliseconds until another try makes sense, after failures or after a reading that did not have what the feed speaks of. */
  function pauseAfter (tries: number): number {
    return Math.min(FIRST_PAUSE * 2 ** Math.min(tries, 10), LONGEST_PAUSE)
  }

  let background: Promise<void> | undefined
  function loadInBackground (): Promise<void> {
    background = load().catch(onFailure)
    return background
  }

  function seek (): Promise<void> | undefined {
    if (loading !== undefined) return loading
    if (hasPaused(failures > 0 ? pauseAfter(failures - 1) : SEEK_PAUSE)) return load()
    // While they cannot be read nobody can say that there is no such key.
    return failures > 0 ? Promise.reject(new Error('The keys cannot be read')) : undefined
  }

  function viewOf (isBelieved: (kid: string) => boolean): VerificationKeys {
    return {
      find (kid) {
        const key: VerificationKey | undefined = jwks.keys.get(kid)
        return key !== undefined && isBelieved(kid) ? { key, expiresAt: Infinity } : undefined
      },
      onChange (listener) {
        listeners.push(listener)
      },
      seek
    }
  }

  return {
    all: viewOf(() => true),
    vouched: viewOf(kid => vouchedKids.has(kid)),
    load,
    loadIfDue () {
      if (loading !== undefined) return background
      if (failures > 0 ? hasPaused(pauseAfter(failures - 1)) : readAt === undefined || ageOf(readAt, time) >= maxAge) return loadInBackground()
      return undefined
    },
    vouch (names) {
      const kids = [...new Set(names)]
      if (kids.length !== vouchedKids.size || kids.some(kid => !vouchedKids.has(kid))) {
        vouchedKids = new Set(kids)
        missed = 0
        tell()
      }
      if (loading !== undefined || kids.every(kid => jwks.kids.has(kid))) return
      // At once where it is new; where a cache on the way still has the old ones, again and again, but ever more seldom.
      if (missed > 0 && !hasPaused(pauseAfter(missed - 1))) return
      missed++
      loadInBackground()
    },
    areThere: () => readAt !== undefined,
    areRecent: () => readAt !== undefined && ageOf(readAt, time) < KEYS_LIFE
  }
}
