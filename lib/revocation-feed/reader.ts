import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Clock } from '../time/clock.js'
import { FEED_STEP, readLastSeq, readRules, toWire } from './rules.js'
import type { FeedCursors, FeedRow } from './rules.js'
import type { Store } from '../store/store.js'

/** A server-sent event. */
export interface FeedEvent {
  event: 'rules' | 'state'
  /** The cursor after it. */
  id?: string
  /** JSON. */
  data: string
}

/** Reads what is new once, for all streams. */
export interface FeedReader {
  /** The `seq` of the last rule that was read; undefined where nobody follows. */
  readonly head: number | undefined
  /** Reads on from `head`, or begins there where it is not known; returns where it then is. One call at a time. */
  advance (): Promise<number>
  /**
   * The rules after a position that is behind `head`, and the position after them: out of memory for those who are nearly level,
   * else a page of the store. No event where all of them have been purged, or are about to be.
   */
  take (position: number): Promise<{ position: number, event: FeedEvent | undefined }>
  /** Follows no more: what is not followed is old when the next stream comes. */
  forget (): void
}

/** Creates the reader of a process. It follows nothing yet. */
export function createFeedReader ({ store, cursors, clock }: { store: Store, cursors: FeedCursors, clock: Clock }): FeedReader {
  let head: number | undefined
  // The last rules that there are: those after `recentFrom` up to `head`.
  let recent: FeedRow[] = []
  let recentFrom = 0
  // Streams that are level are sent the same text.
  let shared: { from: number, event: FeedEvent | undefined } | undefined

  function toEvent (rows: readonly FeedRow[]): FeedEvent | undefined {
    const rules = toWire(rows, clock.now())
    return rules.length === 0 ? undefined : { event: 'rules', id: cursors.format(rows.at(-1)?.seq ?? 0), data: JSON.stringify({ rules }) }
  }

  function keep (rows: readonly FeedRow[]): void {
    recent = [...recent, ...rows]
    const surplus = recent.length - FEED_STEP
    if (surplus > 0) recentFrom = recent.splice(0, surplus).at(-1)?.seq ?? recentFrom
    shared = undefined
  }

  return {
    get head () {
      return head
    },

    async advance () {
      if (head === undefined) {
        const last = await readLastSeq(store)
        recent = []
        recentFrom = head = last
      }
      for (;;) {
        const rows = await readRules(store, head, FEED_STEP)
        const last = rows.at(-1)
        if (last === undefined) return head
        keep(rows)
        head = last.seq
        if (rows.length < FEED_STEP) return head
        await nextTurn()
      }
    },

    async take (position) {
      const end = head ?? position
      if (position >= recentFrom) {
        if (shared?.from !== position) shared = { from: position, event: toEvent(recent.filter(({ seq }) => seq > position)) }
        return { position: end, event: shared.event }
      }
      // A long way to go must not keep everybody else waiting.
      await nextTurn()
      const rows = await readRules(store, position, FEED_STEP)
      return { position: rows.at(-1)?.seq ?? end, event: toEvent(rows) }
    },

    forget () {
      head = shared = undefined
      recent = []
    }
  }
}
