import type { NewEvent } from './events.js'

// A failed attempt costs its sender nothing, so a sender could fill the audit trail with them. The first ones are recorded one by one, for an operator
// to see at once; what follows within the window is counted, and one entry stands for all of it.

/** Milliseconds. */
const WINDOW = 60_000

/** How many failures of one type on one subject get an entry of their own in a window. */
const RECORDED = 10

/** How many types and subjects are told apart, which bounds the memory. */
const MOST = 1_000

interface Count {
  /** Milliseconds. */
  since: number
  recorded: number
  /** How many more there were. */
  more: number
  last: NewEvent
  isFromOneAddress: boolean
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

  function keyOf ({ type, subject = null }: NewEvent): string {
    const key = JSON.stringify([type, subject])
    // Too many subjects: the rest share one count with the unknown ones.
    return counts.has(key) || counts.size < MOST ? key : JSON.stringify([type, null])
  }

  return {
    count (failure, now) {
      const key = keyOf(failure)
      const before = counts.get(key)
      if (before === undefined || now >= before.since + WINDOW) {
        counts.set(key, { since: now, recorded: 1, more: 0, last: failure, isFromOneAddress: true })
        return [...summarise(before), failure]
      }
      if (before.recorded < RECORDED) {
        before.recorded++
        return [failure]
      }
      const { more, last } = before
      before.isFromOneAddress = more === 0 || (before.isFromOneAddress && last.actor.address === failure.actor.address)
      before.more++
      before.last = { ...failure, subject: more === 0 || last.subject === failure.subject ? failure.subject : null }
      return []
    },

    collect (now, isEnding) {
      const over = [...counts].filter(([, { since }]) => isEnding || now >= since + WINDOW)
      for (const [key] of over) counts.delete(key)
      return over.flatMap(([, count]) => summarise(count))
    }
  }
}

/** One entry for all that got none. It names the address only if there was one. */
function summarise (count: Count | undefined): NewEvent[] {
  if (count === undefined || count.more === 0) return []
  const { last: { type, actor, subject }, isFromOneAddress, more } = count
  return [{ type, actor: { ...actor, address: isFromOneAddress ? actor.address : null }, subject, details: { count: more } }]
}
