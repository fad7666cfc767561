/** Milliseconds since the epoch, never less than it said before. */
export interface Clock {
  now (): number
  /** From now on `now()` is at least `time`. */
  advanceTo (time: number): void
}

/**
 * A clock that never runs backwards. A wall clock that steps back would bring expired tokens, and tokens whose
 * revocation was already purged, back to life; the latest time acted on is kept in the store and given to `advanceTo` at boot.
 * While the wall clock is behind, time goes on at the pace of `stopwatch`: standing still, nothing would ever expire.
 * @param wallClock - milliseconds since the epoch.
 * @param stopwatch - milliseconds since some moment, never set back.
 */
export function createClock (wallClock: () => number, stopwatch: () => number): Clock {
  let latest = 0
  let lastLook: number | undefined
  return {
    now () {
      const time = wallClock()
      if (time >= latest) {
        latest = time
        lastLook = undefined
      } else {
        const look = stopwatch()
        latest += look - (lastLook ?? look)
        lastLook = look
      }
      return Math.floor(latest)
    },
    advanceTo (time) {
      if (time > latest) latest = time
    }
  }
}
