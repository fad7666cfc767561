/** What the streams of a process may cost. Times are milliseconds. */
export interface FeedLimits {
  /** How many streams there may be. */
  streams: number
  /** How many of them one client, or one user, may have: whoever has a stolen secret must not keep all others from hearing. */
  streamsOfOne: number
  /** How often each says that it has told everything. */
  heartbeat: number
  /** How late a commit of another process may be noticed where the store does not tell of it by itself. */
  look: number
  /** After which a stream ends in any case: a receiver that reconnects finds the node that it is sent to. */
  lifetime: number
  /** How long a receiver may take nothing while there is something for it. */
  patience: number
}

/** The limits of a process. The bound is 1 s: some heartbeats may be late. A look costs a microsecond. */
export const FEED_LIMITS: Readonly<FeedLimits> = { streams: 1_000, streamsOfOne: 250, heartbeat: 200, look: 25, lifetime: 5 * 60_000, patience: 10_000 }
