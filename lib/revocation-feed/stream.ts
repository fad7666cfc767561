import { LatchkeyError } from '../errors.js'
import { rest, startBeats } from './following.js'
import type { Beat, Following, OpenStream } from './following.js'
import type { FeedEvent } from './reader.js'

/**
 * The events for one receiver. No event is made before the receiver asks for it, so a slow receiver costs one event,
 * however much happens.
 */
export interface FeedStream {
  /**
   * Resolves with the next event as soon as there is one, or with undefined when the stream has ended. Ask for one at a
   * time. Rejects if the store cannot be read.
   */
  next (): Promise<FeedEvent | undefined>
  /** Ends the stream, because the receiver has gone. */
  close (): void
}

/** A request for a stream. */
export interface StreamRequest {
  /** The cursor to start after. */
  after: string | undefined
  /** The moment at which the request arrived. */
  arrivedAt: number
  /** The stream ends when this token is no longer good. */
  token: string
  /** Identifies the holder of the token. */
  owner: string
  /** Called once when the stream ends, for any reason. */
  onEnd (): void
}

/** How far one stream has come. */
interface Progress extends Pick<StreamRequest, 'after' | 'arrivedAt'> {
  firstBeat: number
  /** The epoch of the position. */
  epoch: number
  position: number | undefined
  /** The number of the last beat that was sent. */
  sent: number
}

/** Opens a stream. Throws a LatchkeyError `feed_unavailable` if there are too many. */
export function openStream (feed: Following, { after, arrivedAt, token, owner, onEnd }: StreamRequest): FeedStream {
  const { stopwatch, streams } = feed
  assertRoom(feed, owner)
  let isWoken = false
  let waiting: (() => void) | undefined
  // A cursor may come from another node, and be ahead of what was read here before this beat.
  const progress: Progress = {
    after, arrivedAt, firstBeat: feed.beatsBegun + 1, epoch: feed.epoch, position: undefined, sent: 0
  }
  const stream: OpenStream = {
    token,
    owner,
    openedAt: stopwatch(),
    keylessSince: undefined,
    idleSince: stopwatch(),
    wake () {
      isWoken = true
      waiting?.()
      waiting = undefined
    },
    end () {
      if (!streams.delete(stream)) return
      stream.wake()
      if (streams.size === 0 && !feed.isRunning) rest(feed)
      onEnd()
    }
  }
  streams.add(stream)
  startBeats(feed)

  return {
    async next () {
      stream.idleSince = undefined
      try {
        while (streams.has(stream)) {
          isWoken = false
          const found = await findEvent(feed, progress)
          if (found !== undefined) return found
          // If it was woken meanwhile it looks again at once, or the event would wait for the next heartbeat.
          if (!isWoken) await new Promise<void>(resolve => { waiting = resolve })
        }
        return undefined
      } finally {
        stream.idleSince = stopwatch()
      }
    },
    close: stream.end
  }
}

function assertRoom ({ limits, streams }: Following, owner: string): void {
  const ofOne = [...streams].filter(stream => stream.owner === owner).length
  if (streams.size >= limits.streams || ofOne >= limits.streamsOfOne) {
    throw new LatchkeyError('feed_unavailable', { retryAfter: 5 })
  }
}

/** Returns the event that is due, or undefined if there is none. */
async function findEvent (feed: Following, progress: Progress): Promise<FeedEvent | undefined> {
  const { store, cursors, reader } = feed
  for (;;) {
    const { beat, epoch } = feed
    // Data from the previous server says nothing about this one. The next beat starts again.
    if (store.epoch() !== epoch) return undefined
    if (progress.epoch !== epoch) Object.assign(progress, { epoch, position: undefined })
    if (beat === undefined || reader.head === undefined || beat.number < progress.firstBeat) return undefined
    if (progress.position === undefined) {
      const asked = cursors.parse(progress.after)
      progress.position = asked > reader.head ? 0 : asked
    }
    // The beat comes first, with its own head, so that constant commits cannot keep it from being sent.
    if (beat.number > progress.sent && progress.position >= beat.head) {
      progress.sent = beat.number
      return toState(beat, progress.arrivedAt)
    }
    if (progress.position >= reader.head) return undefined
    const taken = await reader.take(progress.position)
    // The rules may be from either server, and the cursor would not show which.
    if (store.epoch() !== epoch) return undefined
    progress.position = taken.position
    if (taken.event !== undefined) return taken.event
  }
}

/** The horizon is read now: a rule that was purged before it could be sent must be below it. */
function toState ({ moment, time, horizon, keys }: Beat, arrivedAt: number): FeedEvent {
  const state = { as_of: Math.floor(moment - arrivedAt), time, horizon, keys }
  return { event: 'state', data: JSON.stringify(state) }
}
