import fp from 'fastify-plugin'
import type { Gauge as GaugeOf } from 'prom-client'
import { describeEvent, EVENT_TYPES } from '../schemas/events.js'
import { kWriterWaits } from './database.js'
import { kEvents } from './events.js'
import { BUCKETS, kMetrics } from './metrics.js'
import { kPasswords } from './passwords.js'
import { kRevocationFeed } from './revocation-feed.js'
import { kLookAtIndex, kRevocations } from './revocations.js'

/** Counts events as they happen, and measures everything else when the metrics are read. */
export default fp(async function latchkeyServiceMetrics (app) {
  const registry = app[kMetrics]
  if (registry === undefined) return
  const { Counter, Gauge, Histogram } = await import('prom-client')
  const passwords = app[kPasswords]
  const revocations = app[kRevocations]
  const feed = app[kRevocationFeed]
  const lookAtIndex = app[kLookAtIndex]
  const registers = [registry]

  // Only the type and the outcome of an event are counted. The audit trail has the actor, the subject and the address.
  const events = new Counter({
    name: 'latchkey_events_total',
    help:
      'Security events since the start: logins, failures, refreshes, reuse of refresh tokens, revocations and others',
    labelNames: ['type', 'outcome'],
    registers
  })
  // All series exist from the start, or a rate over the first failure would miss it.
  for (const type of EVENT_TYPES) events.inc({ type, outcome: describeEvent(type).outcome }, 0)
  app[kEvents].on(function countEvent ({ type, outcome }) { events.inc({ type, outcome }) })

  const queue: GaugeOf = new Gauge({
    name: 'latchkey_password_queue_jobs',
    help: 'Passwords that wait for a thread. If too many wait, logins receive 503',
    registers,
    collect (): void { queue.set(passwords.queueSize) }
  })

  const rules: GaugeOf = new Gauge({
    name: 'latchkey_revocation_rules',
    help: 'Revocation rules in the index',
    registers,
    collect (): void { rules.set(revocations.size) }
  })

  const streams: GaugeOf = new Gauge({
    name: 'latchkey_revocation_feed_streams',
    help: 'Clients connected to the revocation feed of this process',
    registers,
    collect (): void { streams.set(feed.streams) }
  })

  const age: GaugeOf = new Gauge({
    name: 'latchkey_revocation_index_age_seconds',
    help: 'Time since the index was last known to hold every revocation in the store. ' +
      'Normally 0 with SQLite, and at most the bound (a second) with PostgreSQL',
    registers,
    async collect () { age.set((await lookAtIndex()).seconds) }
  })

  const wait = new Histogram({
    name: 'latchkey_writer_wait_seconds',
    help: 'Time that a write transaction waits for its turn: for a connection, for locks, or for other transactions',
    buckets: BUCKETS,
    registers
  })
  app[kWriterWaits].add(milliseconds => wait.observe(milliseconds / 1_000))
}, {
  name: 'latchkey-service-metrics',
  fastify: '5.x',
  dependencies: [
    'latchkey-metrics', 'latchkey-events', 'latchkey-passwords', 'latchkey-revocations', 'latchkey-revocation-feed'
  ]
})
