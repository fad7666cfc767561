import type { Actor } from '../../schemas/events.js'
import type { NewEvent } from './events.js'

// A failed attempt costs its sender nothing, so a sender could fill the audit trail with them. The first ones are
// recorded one by one, so that an operator sees them at once. The rest is counted, and one entry stands for all
// failures of a window. A window after one with too many failures has only counts.
//
// These are the bounds for each process. In a window of a minute, one target gets at most 20 entries of its own, and
// all targets together get at most 200, whether they exist or not. Counts add at most one entry for each of 1,000
// subjects and one for each type. Made-up names and ids have no subject and share the count of their type. So a sender
// that makes them up gets at most about 200 entries a minute, 288,000 a day, for as long as it goes on.

/** Milliseconds. */
const WINDOW = 60_000

/** How many failures on one target get an entry of their own before the rest is counted. */
const RECORDED = 20

/** How many failures on all targets together get an entry of their own in a window. */
const RECORDED_IN_ALL = 200

/** How many types and subjects are told apart, which bounds the memory and the entries with counts. */
const MOST = 1_000

/** The failures of one type on one subject that were only counted. */
interface Count {
  type: NewEvent['type']
  subject: string | null
  more: number
  /** Who caused the last of them. The address is null if they came from several addresses. */
  actor: Actor
}

/** `left`: how many more failures of this window get their own entry. `failures`: how many there were. */
interface Allowance {
  left: number
  failures: number
}

/** Counts failures. In memory: a process that dies loses the counts of the current window, and nothing else. */
export interface FailureCounts {
  /**
   * Takes in a failure. Returns what to record in the audit trail now: the failure, or nothing.
   * @param target - what was attempted, for example the account of a name that may not exist. The result depends on the
   * target and not on the subject. Otherwise the response time would show which names have an account.
   */
  count (failure: NewEvent, target: string, now: number): NewEvent[]
  /** Returns what to record of the window if it is over or if `isEnding`, and begins the next one. */
  collect (now: number, isEnding: boolean): NewEvent[]
}

/** Creates the counts of one process. */
export function createFailureCounts (): FailureCounts {
  const counts = new Map<string, Count>()
  const targets = new Map<string, Allowance>()
  const all: Allowance = { left: RECORDED_IN_ALL, failures: 0 }
  /** When the window began, in milliseconds. */
  let since: number | undefined

  /** Whether the failure gets an entry of its own. */
  function isAllowed (target: string): boolean {
    const own = targets.get(target) ?? { left: targets.size < MOST ? RECORDED : 0, failures: 0 }
    own.failures++
    all.failures++
    if (own.left === 0 || all.left === 0) return false
    own.left--
    all.left--
    targets.set(target, own)
    return true
  }

  /** The count of this failure. If there are too many subjects, the rest share one with the unknown subjects. */
  function find ({ type, subject = null, actor }: NewEvent): Count {
    const own = JSON.stringify([type, subject])
    const isOwn = counts.has(own) || counts.size < MOST
    const key = isOwn ? own : JSON.stringify([type, null])
    const count = counts.get(key) ?? { type, subject: isOwn ? subject : null, more: 0, actor }
    counts.set(key, count)
    return count
  }

  return {
    count (failure, target, now) {
      since ??= now
      if (isAllowed(JSON.stringify([failure.type, target]))) return [failure]
      const count = find(failure)
      const { actor } = failure
      count.actor = count.more === 0 || count.actor.address === actor.address ? actor : { ...actor, address: null }
      count.more++
      return []
    },

    collect (now, isEnding) {
      if (since === undefined || (!isEnding && now < since + WINDOW)) return []
      since = now
      for (const [target, { failures }] of targets) {
        if (failures > RECORDED) targets.set(target, { left: 0, failures: 0 })
        else targets.delete(target)
      }
      Object.assign(all, { left: all.failures > RECORDED_IN_ALL ? 0 : RECORDED_IN_ALL, failures: 0 })
      const events = [...counts.values()].map(({ type, subject, actor, more }) => ({
        type, actor, subject, details: { count: more }
      }))
      counts.clear()
      return events
    }
  }
}
