import type { FastifyBaseLogger } from 'fastify'

/** A failure is over after this many milliseconds without another of its kind, so a flapping link is one failure. */
const QUIET = 10_000

/** Logs a failure that happens many times as two lines: one when it begins, and one with a count when it is over. */
export interface FailureLog {
  /**
   * Counts a failure.
   * @param kind - one of a few constant texts, which the line at the end shows.
   * @param begin - logs the first failure of this kind.
   */
  note (kind: string, begin: () => void): void
  /** Stops the timers that wait for the end of failures. */
  close (): void
}

/** A failure that is not over yet. */
interface Failure {
  count: number
  /** Milliseconds of `performance.now()`. */
  readonly first: number
  last: number
  readonly end: NodeJS.Timeout
}

/** @param quiet - as `QUIET`, for tests. */
export function createFailureLog (log: Pick<FastifyBaseLogger, 'warn'>, quiet = QUIET): FailureLog {
  const current = new Map<string, Failure>()

  function end (kind: string): void {
    const { count, first, last } = current.get(kind) as Failure
    current.delete(kind)
    log.warn({ count, seconds: Math.round(last - first) / 1_000 }, `resolved: ${kind}`)
  }

  return {
    note (kind, begin) {
      const now = performance.now()
      const failure = current.get(kind)
      if (failure === undefined) {
        current.set(kind, { count: 1, first: now, last: now, end: setTimeout(end, quiet, kind).unref() })
        begin()
        return
      }
      failure.count++
      failure.last = now
      failure.end.refresh()
    },
    close () {
      for (const { end } of current.values()) clearTimeout(end)
      current.clear()
    }
  }
}
