/** Limits on what the streams of a process may cost. Times are in milliseconds. */
export interface FeedLimits {
  /** The most streams. */
  streams: number
  /** The most streams of one client or one user, so that a thief of one secret cannot shut out all others. */
  streamsOfOne: number
  /** How often each stream confirms that it has sent everything. */
  heartbeat: number
  /** How often to look for commits of other processes, for stores that do not announce them. */
  look: number
  /** How long a stream may last. When its receiver reconnects, a load balancer may send it to another node. */
  lifetime: number
  /** How long a receiver may leave an event untaken. */
  patience: number
  /** How long a stream continues after the key of its token was revoked. */
  farewell: number
}

/**
 * The limits of a process. The bound is 1 s, so several heartbeats may be late, and a farewell keeps within it. A look
 * costs a microsecond.
 */
export const FEED_LIMITS: Readonly<FeedLimits> = {
  streams: 1_000,
  streamsOfOne: 250,
  heartbeat: 200,
  look: 25,
  lifetime: 5 * 60_000,
  patience: 10_000,
  farewell: 800
}
