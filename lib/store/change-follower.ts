import { ageOf, MACHINE, NEVER, readMoment } from '../time/elapsed-time.js'
import { toUnavailable } from './store.js'
import type { Store } from './store.js'

/** Keeps everything in memory up to date with the store. There is one notice for all kinds of changes. */
export interface Follower {
  /** Registers a function that reads the store again. It must be able to run again after a failure. */
  follow (load: () => Promise<void>): void
  /**
   * Call it after this process has committed something that must be read again. The store reports only the commits of
   * others.
   */
  notice (): void
  /**
   * Brings everything up to date with the latest commit. Returns undefined if it already is. That is the usual case,
   * and costs one statement and no promise. Otherwise returns a promise. Throws or rejects with a LatchkeyError if it
   * cannot find out, usually with `store_unavailable`. The caller must then refuse, and the next call tries again.
   */
  refresh (): Promise<void> | undefined
  /** The moment, in milliseconds of `performance.now()`, up to which every commit is in memory. */
  asOf (): number
}

/**
 * Creates the follower of a store. A store can have only one, because `Store.changed` reports each change once.
 * @param bound - milliseconds that a load may take. The result of a longer one is not trusted. Default: no limit.
 */
export function createFollower (store: Store, { bound = Infinity }: { bound?: number } = {}): Follower {
  const loads: Array<() => Promise<void>> = []
  // Counts the changes that were noticed, and those that a later load has read. A request may only continue when its
  // own change was read.
  let noticed = 0
  let taken = 0
  let takenAt = NEVER
  let catchingUp: Promise<void> | undefined

  async function catchUp (): Promise<void> {
    // Without this, a call with nothing to load would end before `catchingUp` holds its promise, which would then stay
    // there.
    await undefined
    try {
      while (taken !== noticed) {
        const target = noticed
        const begun = readMoment(MACHINE)
        for (const load of loads) await load()
        taken = target
        takenAt = begun
      }
    } finally {
      catchingUp = undefined
    }
  }

  function refresh (): Promise<void> | undefined {
    try {
      return startRefresh()?.catch(error => { throw toUnavailable(error) })
    } catch (error) {
      throw toUnavailable(error)
    }
  }

  function startRefresh (): Promise<void> | undefined {
    const changed = store.changed()
    if (changed === undefined) return pollAndRefresh()
    if (changed) noticed++
    return taken === noticed ? undefined : takeIn()
  }

  async function takeIn (): Promise<void> {
    await (catchingUp ??= catchUp())
    // A load that hung has read the state at its beginning. Later revocations may have been acknowledged long ago.
    if (!isRecent()) await pollAndRefresh()
  }

  function isRecent (): boolean {
    return ageOf(takenAt, MACHINE) <= bound
  }

  async function pollAndRefresh (): Promise<void> {
    await store.poll()
    const changed = store.changed()
    // An answer that took longer than the allowed age is already stale.
    if (changed === undefined) throw answersTooSlowly()
    if (changed) noticed++
    if (taken === noticed) return
    await (catchingUp ??= catchUp())
    if (!isRecent()) throw answersTooSlowly()
  }

  return {
    follow (load) {
      loads.push(load)
    },
    notice () {
      noticed++
    },
    refresh,
    asOf: () => taken === noticed ? store.asOf() : takenAt.stopwatch
  }
}

function answersTooSlowly (): Error {
  return new Error('The store answers too slowly, so it is unknown which tokens are revoked')
}
