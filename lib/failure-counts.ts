import type { Actor } from '../schemas/events.js'
import type { NewEvent } from './events.js'

// A failed attempt costs its sender nothing, so a sender could fill the audit trail with them. The first ones are
// recorded one by one, so that an operator sees them at once. The rest is counted, and one entry stands for all
// failures of a window, until a window passes without any.

/** Milliseconds. */
const WINDOW = 60_000

/** How many failures of one type on one subject get an entry of their own before the rest is counted. */
const RECORDED = 20

/** How many types and subjects are told apart, which bounds the memory. */
const MOST = 1_000

/** The failures of one type on one subject. */
interface Count {
  type: NewEvent['type']
  subject: string | null
  /** When the window began, in milliseconds. */
  since: number
  recorded: number
  /** How many were only counted in this window. */
  more: number
  /** Who made the last of them; without an address if they came from several. */
  actor: Actor
}

/** Counts failures. In memory: a process that dies loses the counts of the current window, and nothing else. */
export interface FailureCounts {
  /** Takes in a failure. Returns what to record in the audit trail now: often nothing. */
  count (failure: NewEvent, now: number): NewEvent[]
  /** Returns what to record of the windows that are over, or of all windows if `isEnding`, and forgets them. */
  collect (now: number, isEnding: boolean): NewEvent[]
}

/** Creates the counts of one process. */
export function createFailureCounts (): FailureCounts {
  const counts = new Map<string, Count>()

  /** The count of this failure. If there are too many subjects, the rest share one with the unknown subjects. */
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

  /** Ends a window. If more happened than was recorded, the next window only counts; otherwise all is forgotten. */
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
