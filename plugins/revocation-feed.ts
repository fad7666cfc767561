import { randomInt } from 'node:crypto'
import { Readable } from 'node:stream'
import fp from 'fastify-plugin'
import type { FastifyReply } from 'fastify'
import { FEED_LIMITS } from '../lib/revocation-feed/stream-limits.js'
import type { FeedLimits } from '../lib/revocation-feed/stream-limits.js'
import type { FeedEvent } from '../lib/revocation-feed/reader.js'
import { createRevocationFeed } from '../lib/revocation-feed/feed.js'
import type { FeedStream, RevocationFeed } from '../lib/revocation-feed/feed.js'
import { readHorizon, readStoreId } from '../lib/store/meta.js'
import { kClock, kFollower, kStore } from './database.js'
import { kTokens } from './tokens.js'
import { kKeyring } from './keys.js'
import { kRevocations } from './revocations.js'

/** The largest range that `randomInt` accepts: 48 bits. */
const STORE_IDS = 2 ** 48 - 1

/** How long the last event may take to leave after a stream has ended, in milliseconds. Then the connection is cut. */
const PARTING = 500

export const kRevocationFeed = Symbol('latchkey.revocationFeed')

/** Set on an app whose streams must end sooner than after minutes, for tests. */
export const kFeedLimits = Symbol('latchkey.feedLimits')

declare module 'fastify' {
  interface FastifyInstance {
    [kRevocationFeed]: RevocationFeed
    [kFeedLimits]?: Partial<FeedLimits>
  }
}

/**
 * Creates the feed that `GET /revocations` reads. Its streams end before the server closes, or it would wait for them.
 */
export default fp(async function latchkeyRevocationFeed (app) {
  const store = app[kStore]
  const feed = createRevocationFeed({
    store,
    storeId: await readStoreId(store, randomInt(1, STORE_IDS)),
    readHorizon: () => store.read(db => readHorizon(db, store.now())),
    follower: app[kFollower],
    revocations: app[kRevocations],
    tokens: app[kTokens],
    keyring: app[kKeyring],
    clock: app[kClock],
    stopwatch: () => performance.now(),
    log: app.log,
    limits: { ...FEED_LIMITS, ...app[kFeedLimits] }
  })
  app.decorate(kRevocationFeed, feed)
  app.addHook('preClose', async () => feed.close())
}, { name: 'latchkey-revocation-feed', fastify: '5.x', dependencies: ['latchkey-tokens'] })

/**
 * Sends server-sent events (the HTML standard, section 9.2) until the stream that `open` opens has ended, or the
 * receiver has gone. It uses a stream of Node.js, which asks for the next event when the previous one is under way, and
 * which Fastify sends like any other body. It does not use @fastify/sse, which queues events that the receiver does not
 * take, and waits forever if the connection ends meanwhile (its issue 54).
 */
export function sendEvents (reply: FastifyReply, open: (onEnd: () => void) => FeedStream): void {
  const { raw } = reply
  const stream = open(function cutOff () {
    setTimeout(() => { if (!raw.writableFinished) raw.destroy() }, PARTING).unref()
  })
  const body = new Readable({
    read () {
      stream.next().then(
        event => body.push(event === undefined ? null : format(event)),
        (error: Error) => body.destroy(error)
      )
    },
    destroy (error, done) {
      stream.close()
      done(error)
    }
  })
  // The connection closes with its stream, because a shutdown must not wait for an idle connection.
  raw.shouldKeepAlive = false
  // Without `x-accel-buffering`, nginx would hold the events back until a buffer is full.
  reply.type('text/event-stream').header('cache-control', 'no-store').header('x-accel-buffering', 'no').send(body)
}

function format ({ event, id, data }: FeedEvent): string {
  return `event: ${event}\n${id === undefined ? '' : `id: ${id}\n`}data: ${data}\n\n`
}
