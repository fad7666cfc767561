/** The upper limit of the first pause, in milliseconds. It doubles with each pause, up to the longest. */
const FIRST = 200
const LONGEST = 5_000

/** Waits between attempts. */
export interface Pause {
  /**
   * Resolves after a pause that grows with each call. Part of it is random, so that a hundred verifiers do not return
   * at once to a service that has just started.
   * @param longest - milliseconds, if the service itself asked for a pause (`Retry-After`).
   */
  wait (longest?: number): Promise<void>
  /** Reports a success, so that the next pause is short again. */
  reset (): void
  /** Resolves after this many milliseconds, or when it is cancelled. */
  alarm (milliseconds: number): { rung: Promise<void>, cancel: () => void }
  /** Ends all current pauses. Later pauses end at once. */
  close (): void
}

/** Creates the pauses between the attempts of one task. */
export function createPause (): Pause {
  let tries = 0
  let isClosed = false
  const ends = new Set<() => void>()

  function alarm (milliseconds: number): { rung: Promise<void>, cancel: () => void } {
    let cancel = (): void => {}
    const rung = new Promise<void>(resolve => {
      const end = (): void => {
        clearTimeout(timer)
        ends.delete(end)
        resolve()
      }
      const timer = setTimeout(end, isClosed ? 0 : milliseconds)
      ends.add(end)
      cancel = end
    })
    return { rung, cancel }
  }

  return {
    async wait (longest = LONGEST) {
      const limit = Math.min(FIRST * 2 ** Math.min(tries++, 10), LONGEST, longest)
      await alarm(limit * (0.5 + Math.random() / 2)).rung
    },
    reset () {
      tries = 0
    },
    alarm,
    close () {
      isClosed = true
      for (const end of ends) end()
    }
  }
}
