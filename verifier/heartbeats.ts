/** The heartbeats of the feed, for what waits for the next one. */
export interface Heartbeats {
  /** Resolves with the next heartbeat, which says the service's time; or after the bound, where there is none. */
  next (): Promise<void>
  /** There is one. */
  note (): void
}

/**
 * Creates them.
 * @param bound - milliseconds.
 */
export function createHeartbeats (bound: number): Heartbeats {
  let waiting: Array<() => void> = []
  return {
    async next () {
      await new Promise<void>(resolve => {
        waiting.push(resolve)
        setTimeout(() => {
          waiting = waiting.filter(other => other !== resolve)
          resolve()
        }, bound).unref()
      })
    },
    note () {
      for (const resolve of waiting) resolve()
      waiting = []
    }
  }
}
