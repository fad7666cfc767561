import fp from 'fastify-plugin'
import { Gauge } from 'prom-client'
import { kMetrics } from './metrics.js'
import { kPasswords } from './passwords.js'
import { kRevocations } from './revocations.js'

/** What can be looked up when somebody asks for the metrics. */
export default fp(async function latchkeyGauges (app) {
  const registry = app[kMetrics]
  if (registry === undefined) return
  const passwords = app[kPasswords]
  const revocations = app[kRevocations]
  const registers = [registry]

  const queue: Gauge = new Gauge({
    name: 'latchkey_password_queue_jobs',
    help: 'Passwords that wait for a thread; logins are answered with 503 from 64 on',
    registers,
    collect (): void { queue.set(passwords.queueSize) }
  })

  const rules: Gauge = new Gauge({
    name: 'latchkey_revocation_rules',
    help: 'Revocation rules in the index',
    registers,
    collect (): void { rules.set(revocations.size) }
  })

  // The index is brought up to date by the requests that need it; with none of them it is old and nobody is harmed. So it is done
  // here as well: what this shows is how long that has failed.
  let current = performance.now()
  const age: Gauge = new Gauge({
    name: 'latchkey_revocation_index_age_seconds',
    help: 'Time since the index was last known to hold every revocation in the store; 0 while all is well',
    registers,
    async collect () {
      try {
        await revocations.refresh()
        current = performance.now()
        age.set(0)
      } catch {
        age.set((performance.now() - current) / 1_000)
      }
    }
  })
}, { name: 'latchkey-gauges', fastify: '5.x', dependencies: ['latchkey-metrics', 'latchkey-passwords', 'latchkey-revocations'] })
