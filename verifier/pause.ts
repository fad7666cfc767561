/** Milliseconds of the first pause at most; doubled with each, up to the longest. */
const FIRST = 200
const LONGEST = 5_000

/** Waits between tries. */
export interface Pause {
  /**
   * Resolves after a while: longer each time, and a random part of it, so that a hundred verifiers do not come back at once to a service
   * that has just started.
   */
  wait (): Promise<void>
  /** It worked: the next pause is a short one. */
  reset (): void
  /** Resolves after so many milliseconds, unless it is cancelled. */
  alarm (milliseconds: number): { rung: Promise<void>, cancel: () => void }
  /** Ends what is waited for, and lets nobody wait any more. */
  close (): void
}

/** Creates the pauses of one series of tries. */
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
    async wait () {
      const longest = Math.min(FIRST * 2 ** Math.min(tries++, 10), LONGEST)
      await alarm(longest * (0.5 + Math.random() / 2)).rung
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
