/** Milliseconds since the epoch, never less than it said before. */
export interface Clock {
  now (): number
  /** From now on `now()` is at least `time`. */
  advanceTo (time: number): void
}

/**
 * A clock that never runs backwards. A wall clock that steps back would bring expired tokens, and tokens whose
 * revocation was already purged, back to life; the latest time acted on is kept in the store and given to `advanceTo` at boot.
 */
export function createClock (wallClock: () => number): Clock {
  let latest = 0
  return {
    now () {
      const time = wallClock()
      if (time > latest) latest = time
      return latest
    },
    advanceTo (time) {
      if (time > latest) latest = time
    }
  }
}
