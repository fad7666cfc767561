import type { Actor } from '../schemas/events.js'
import type { NewEvent } from './events.js'

// A failed attempt costs its sender nothing, so a sender could fill the audit trail with failures. The first failures
// are recorded one by one, so that an operator sees them at once. The rest are only counted. One entry per window then
// stands for all of its failures, until a window passes without any.

/** Milliseconds. */
const WINDOW = 60_000

/** How many failures of one type on one subject are recorded one by one before the rest are counted. */
const RECORDED = 20

/** How many pairs of type and subject have a separate count. This bounds the memory. */
const MOST = 1_000

/** The failures of one type on one subject. */
interface Count {
  type: NewEvent['type']
  subject: string | null
  /** When the window began, in milliseconds. */
  since: number
  recorded: number
  /** How many failures of this window were only counted. */
  more: number
  /** Who caused the last of them. The address is null if they came from several addresses. */
  actor: Actor
}

/** Counts failures in memory. A process that dies loses the counts of the current window, and nothing else. */
export interface FailureCounts {
  /** Counts a failure. Returns the events to record in the audit trail now, which may be none. */
  count (failure: NewEvent, now: number): NewEvent[]
  /** Ends the windows that are over, or all windows if `isEnding`. Returns the events to record for them. */
  collect (now: number, isEnding: boolean): NewEvent[]
}

/** Creates the counts of one process. */
export function createFailureCounts (): FailureCounts {
  const counts = new Map<string, Count>()

  /** Returns the count for a failure. If there are too many subjects, the rest share the count of unknown subjects. */
  function find ({ type, subject = null, actor }: NewEvent, now: number): Count {
    const own = JSON.stringify([type, subject])
    const isOwn = counts.has(own) || counts.size < MOST
    const key = isOwn ? own : JSON.stringify([type, null])
    const known = counts.get(key)
    if (known !== undefined) return known
    const count = { type, subject: isOwn ? subject : null, since: now, recorded: 0, more: 0, actor }
    counts.set(key, count)
    return count
  }

  /**
   * Ends a window. If it counted failures, the next window only counts. Otherwise the next failures are recorded again.
   */
  function close (count: Count, now: number): NewEvent[] {
    const { type, subject, actor, more } = count
    Object.assign(count, { since: now, recorded: more === 0 ? 0 : count.recorded, more: 0 })
    return more === 0 ? [] : [{ type, actor, subject, details: { count: more } }]
  }

  return {
    count (failure, now) {
      const count = find(failure, now)
      const summary = now >= count.since + WINDOW ? close(count, now) : []
      if (count.recorded < RECORDED) {
        count.recorded++
        return [...summary, failure]
      }
      const { actor } = failure
      count.actor = count.more === 0 || count.actor.address === actor.address ? actor : { ...actor, address: null }
      count.more++
      return summary
    },

    collect (now, isEnding) {
      const over = [...counts].filter(([, { since }]) => isEnding || now >= since + WINDOW)
      for (const [key, { more }] of over) if (more === 0) counts.delete(key)
      return over.flatMap(([, count]) => close(count, now))
    }
  }
}
