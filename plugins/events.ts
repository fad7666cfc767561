import fp from 'fastify-plugin'
import { createEvents } from '../lib/ledger/events.js'
import type { Events } from '../lib/ledger/events.js'
import { describeEvent } from '../schemas/events.js'
import { kSettings } from './settings.js'

export const kEvents = Symbol('latchkey.events')

declare module 'fastify' {
  interface FastifyInstance {
    [kEvents]: Events
  }
}

/** Publishes each event after its commit: to the log, to the host's `onEvent`, and to all other listeners. */
export default fp(async function latchkeyEvents (app) {
  const { onEvent } = app[kSettings]
  const events = createEvents()

  events.on(function logEvent (event) {
    const level = !describeEvent(event.type).kept ? 'debug' : event.outcome === 'failure' ? 'warn' : 'info'
    app.log[level]({ event }, event.type)
  })
  if (onEvent !== undefined) {
    events.on(async function callHost (event) {
      try {
        await onEvent(event)
      } catch (error) {
        app.log.error({ err: error, type: event.type }, 'the option onEvent failed')
      }
    })
  }
  app.decorate(kEvents, events)
}, { name: 'latchkey-events', fastify: '5.x', dependencies: ['latchkey-settings'] })
