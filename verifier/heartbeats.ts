/** Lets callers wait for the next heartbeat of the feed. */
export interface Heartbeats {
  /** Resolves at the next heartbeat, which carries the time of the service, or after the bound if none comes. */
  next (): Promise<void>
  /** Reports a heartbeat. */
  note (): void
}

/** @param bound - milliseconds. */
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
