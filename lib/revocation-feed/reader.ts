import { setImmediate as nextTurn } from 'node:timers/promises'
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

/** Reads new rules once for all streams. */
export interface FeedReader {
  /** The `seq` of the last rule that was read. Undefined while no stream is open. */
  readonly head: number | undefined
  /**
   * Reads on from `head`, or from the end of the rules if it is undefined. Returns the new `head`. Call it one at a
   * time.
   */
  advance (): Promise<number>
  /**
   * Returns rules after a position that is behind `head`, and the position after them. They come from memory for
   * streams that are nearly level, and otherwise from a page of the store. There is no event if all of them have been
   * purged or are about to be.
   */
  take (position: number): Promise<{ position: number, event: FeedEvent | undefined }>
  /** Forgets everything, because it would be old when the next stream opens. */
  forget (): void
}

/** Creates the reader of a process. It has read nothing yet. */
export function createFeedReader (
  { store, cursors, readHorizon }: { store: Store, cursors: FeedCursors, readHorizon: () => number }
): FeedReader {
  let head: number | undefined
  // The latest rules: those after `recentFrom`, up to `head`.
  let recent: FeedRow[] = []
  let recentFrom = 0
  // Streams at the same position receive the same event.
  let shared: { from: number, event: FeedEvent | undefined } | undefined

  function toEvent (rows: readonly FeedRow[]): FeedEvent | undefined {
    const wire = toWire(rows, readHorizon())
    return wire.rules.length + wire.roles.length === 0
      ? undefined
      : { event: 'rules', id: cursors.format(rows.at(-1)?.seq ?? 0), data: JSON.stringify(wire) }
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
        if (shared?.from !== position) {
          shared = { from: position, event: toEvent(recent.filter(({ seq }) => seq > position)) }
        }
        return { position: end, event: shared.event }
      }
      // A stream that is far behind must not delay the others.
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
