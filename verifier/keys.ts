import type { VerificationKey, VerificationKeys } from '../lib/tokens/verification.js'
import type { JwkSet } from './jwks.js'
import { ageOf, readMoment } from '../lib/time/elapsed-time.js'
import type { Moment, Stopwatches } from '../lib/time/elapsed-time.js'

/** Milliseconds between two reads for unknown key names, because anyone can send a token with an invented name. */
const SEEK_PAUSE = 60_000

/**
 * The limits of the `max-age` of the service, in milliseconds. The upper limit makes sure that the verifier notices a
 * revoked key. The lower one protects the service from too many requests.
 */
const [SHORTEST_AGE, LONGEST_AGE] = [60_000, 300_000]

/** Milliseconds until the next try after a failure. It doubles with each failure, up to a minute. */
const FIRST_PAUSE = 1_000
const LONGEST_PAUSE = 60_000

/** Milliseconds that keys are trusted after they were read, if no feed confirms them. */
const KEYS_LIFE = 3_600_000

/** The result of reading the JWKS. */
interface JwksReading extends JwkSet {
  /** Milliseconds. Undefined if the service does not send it. */
  maxAge: number | undefined
}

/** The keys in the JWKS of the service. */
export interface KeySource {
  /** All keys of the latest read. */
  readonly all: VerificationKeys
  /** The keys among them that the feed confirms. */
  readonly vouched: VerificationKeys
  /** Reads the keys. Concurrent calls share one read. */
  load (): Promise<void>
  /**
   * Starts a read if one is due. Returns the promise of that read, or of one that is already running; it never rejects.
   */
  loadIfDue (): Promise<void> | undefined
  /**
   * Takes the list of valid keys from the feed: only these verify. If it names an unknown key, reads the JWKS at once.
   * Returns whether a key is no longer valid.
   */
  vouch (kids: readonly string[]): boolean
  /** Whether the keys were ever read. */
  areThere (): boolean
  /** Whether the keys were read recently enough to be trusted without a feed. */
  areRecent (): boolean
}

export interface KeySourceOptions {
  /** Reads the JWKS, or rejects. */
  read: () => Promise<JwksReading>
  time: Stopwatches
  /** Called after each successful read. */
  onRead: () => void
  /** Called with the error if a read in the background fails. */
  onFailure: (error: unknown) => void
}

/** Creates the key source. */
export function createKeySource ({ read, time, onRead, onFailure }: KeySourceOptions): KeySource {
  let jwks: JwkSet = { keys: new Map(), kids: new Set(), text: '' }
  let vouchedKids: ReadonlySet<string> = new Set()
  let readAt: Moment | undefined
  let maxAge = SHORTEST_AGE
  let triedAt: Moment | undefined
  let failures = 0
  /** How many reads were started for missing keys since the list of the feed last changed. */
  let missed = 0
  let loading: Promise<void> | undefined
  const listeners: Array<() => void> = []

  function tell (): void {
    for (const listener of listeners) listener()
  }

  async function readOnce (): Promise<void> {
    // Count the age from the request, because the response lacks what the service changes later.
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

  let background: Promise<void> | undefined
  function loadInBackground (): Promise<void> {
    background = load().catch(onFailure)
    return background
  }

  function seek (): Promise<void> | undefined {
    if (loading !== undefined) return loading
    if (hasPaused(failures > 0 ? pauseAfter(failures - 1) : SEEK_PAUSE)) return load()
    // The JWKS cannot be read at the moment, so the key may exist.
    return failures > 0 ? Promise.reject(new Error('The keys cannot be read')) : undefined
  }

  function viewOf (isBelieved: (kid: string) => boolean): VerificationKeys {
    return {
      find (kid) {
        const key: VerificationKey | undefined = jwks.keys.get(kid)
        return key !== undefined && isBelieved(kid) ? { key, expiresAt: Infinity } : undefined
      },
      onChange: listener => { listeners.push(listener) },
      // A known key that is not in the list was revoked.
      seek: kid => jwks.kids.has(kid) ? undefined : seek()
    }
  }

  return {
    all: viewOf(() => true),
    vouched: viewOf(kid => vouchedKids.has(kid)),
    load,
    loadIfDue () {
      if (loading !== undefined) return background
      if (failures > 0 ? hasPaused(pauseAfter(failures - 1)) : readAt === undefined || ageOf(readAt, time) >= maxAge) {
        return loadInBackground()
      }
      return undefined
    },
    vouch (names) {
      const kids = new Set(names)
      const hasLost = [...vouchedKids].some(kid => !kids.has(kid))
      if (hasLost || kids.size !== vouchedKids.size) {
        vouchedKids = kids
        missed = 0
        tell()
      }
      // Read at once after a change. If a cache on the way still returns the old keys, retry at growing intervals.
      const mayRead = loading === undefined && (missed === 0 || hasPaused(pauseAfter(missed - 1)))
      if (!mayRead || names.every(kid => jwks.kids.has(kid))) return hasLost
      missed++
      loadInBackground()
      return hasLost
    },
    areThere: () => readAt !== undefined,
    areRecent: () => readAt !== undefined && ageOf(readAt, time) < KEYS_LIFE
  }
}

/** Milliseconds until the next try, after failures or after reads that lacked a key of the feed. */
function pauseAfter (tries: number): number {
  return Math.min(FIRST_PAUSE * 2 ** Math.min(tries, 10), LONGEST_PAUSE)
}
