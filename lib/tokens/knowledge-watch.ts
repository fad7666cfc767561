/** What is known about the revocations. */
export interface Knowledge {
  /** Brings the revocations and the keys up to date. Throws or rejects if it cannot. */
  refresh (): Promise<void> | undefined
  /** Milliseconds since the moment up to which all revocations are known. Infinity if none are. */
  age (): number
}

/** The longest and the shortest time between two polls, as a share of the bound. */
const TICK_SHARE = 1 / 4
const DOUBT_SHARE = 1 / 20

/** The longest time between two polls, in milliseconds. An expired token is noticed no later than that. */
const LONGEST_TICK = 1_000

/** Polls for as long as there is a reason to. */
export interface KnowledgeWatch {
  /** Starts polling, unless it already does. The first poll happens at once. */
  start (): void
  stop (): void
}

/**
 * Creates a watch that keeps the revocations up to date while no request does. SQLite does not announce commits of
 * other processes, so the watch has to poll.
 * @param bound - milliseconds for which revocations may remain unknown.
 * @param isNeeded - whether there is still a reason to poll.
 * @param onLook - called at each poll.
 * @param onUnknown - called if the revocations have been unknown for longer than the bound.
 */
export function createKnowledgeWatch ({ knowledge, stopwatch, bound, isNeeded, onLook, onUnknown }: {
  knowledge: Knowledge
  stopwatch: () => number
  bound: number
  isNeeded: () => boolean
  onLook: () => void
  onUnknown: () => void
}): KnowledgeWatch {
  const tick = Math.min(bound * TICK_SHARE, LONGEST_TICK)
  const doubt = Math.min(bound * DOUBT_SHARE, tick)
  let timer: NodeJS.Timeout | undefined
  let startedAt = 0
  let isRefreshing = false
  let isInDoubt = false

  /** Before the watch started, the revocations may have been old for a long time, although the store works. */
  function unknownFor (): number {
    return Math.min(knowledge.age(), stopwatch() - startedAt)
  }

  function bringUpToDate (): void {
    if (isRefreshing) return
    try {
      const refreshing = knowledge.refresh()
      if (refreshing === undefined) return
      isRefreshing = true
      refreshing.catch(() => {}).finally(() => { isRefreshing = false })
    } catch {
      // The age shows how long this has failed.
    }
  }

  /**
   * After a pause, a process runs its overdue timers before it reads what arrived meanwhile. So the first poll that
   * finds the revocations too old only raises a doubt, and the next one decides.
   */
  function judge (): void {
    const wasInDoubt = isInDoubt
    isInDoubt = unknownFor() > bound - doubt
    if (wasInDoubt && isInDoubt) onUnknown()
  }

  function look (): void {
    timer = undefined
    onLook()
    bringUpToDate()
    judge()
    if (!isNeeded()) return
    const untilDoubt = bound - doubt - unknownFor()
    // A listener of the host may have started the watch again during this poll.
    clearTimeout(timer)
    timer = setTimeout(look, Math.min(Math.max(untilDoubt, doubt), tick) + 1).unref()
  }

  return {
    start () {
      if (timer !== undefined) return
      startedAt = stopwatch()
      isInDoubt = false
      look()
    },
    stop () {
      clearTimeout(timer)
      timer = undefined
    }
  }
}
