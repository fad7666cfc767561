/** The time in milliseconds since the epoch. It never goes back. */
export interface Clock {
  now (): number
  /** Makes `now()` return at least `time` from now on. */
  advanceTo (time: number): void
}

/**
 * Creates a clock that never runs backwards. A wall clock that steps back would revive expired tokens, and tokens whose
 * revocation was already purged. So the store keeps the latest time that was acted on, and `advanceTo` receives it at
 * boot. While the wall clock is behind, time advances at the pace of `stopwatch`. If it stood still, nothing would ever
 * expire.
 * @param wallClock - returns milliseconds since the epoch.
 * @param stopwatch - returns milliseconds since some moment, and is never set back.
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
