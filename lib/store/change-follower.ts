import { ageOf, MACHINE, NEVER, readMoment } from '../time/elapsed-time.js'
import type { Store } from './store.js'

/** Keeps what is held in memory level with the store: one notice, whatever it is that somebody else may have changed. */
export interface Follower {
  /** Registers what reads the store anew. It must be able to run again after it failed. */
  follow (load: () => Promise<void>): void
  /** Says that this process has committed something that must be read anew: the store reports only what others commit. */
  notice (): void
  /**
   * Brings everything up to what is committed: undefined where it already is (the usual case, which costs one statement and no
   * promise), else a promise. Throws or rejects where that cannot be told; the caller must then refuse, and the next call tries again.
   */
  refresh (): Promise<void> | undefined
  /** The moment, in milliseconds of `performance.now()`, up to which everything that was committed is taken in. */
  asOf (): number
}

/**
 * Creates the one follower of a store: `Store.changed` tells each change once.
 * @param bound - milliseconds that a load may take for its outcome to still be believed; default: for ever.
 */
export function createFollower (store: Store, { bound = Infinity }: { bound?: number } = {}): Follower {
  const loads: Array<() => Promise<void>> = []
  // Changes noticed, and changes that a load begun afterwards has taken in: a request may only go on when its own was.
  let noticed = 0
  let taken = 0
  let takenAt = NEVER
  let catchingUp: Promise<void> | undefined

  async function catchUp (): Promise<void> {
    // With nothing to load yet it would be over before its promise is in `catchingUp`, and that would stay there for good.
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
    const changed = store.changed()
    if (changed === undefined) return askAndRefresh()
    if (changed) noticed++
    return taken === noticed ? undefined : takeIn()
  }

  async function takeIn (): Promise<void> {
    await (catchingUp ??= catchUp())
    // A load that hung has read what there was when it began: what was revoked since may have been acknowledged long ago.
    if (!isRecent()) await askAndRefresh()
  }

  function isRecent (): boolean {
    return ageOf(takenAt, MACHINE) <= bound
  }

  async function askAndRefresh (): Promise<void> {
    await store.ask()
    const changed = store.changed()
    // An answer that took as long as it may be old says nothing about now.
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
  return new Error('The store answers too slowly to tell what is revoked')
}
