import { describeEvent } from '../../schemas/events.js'
import type { Actor, EventType, SecurityEvent } from '../../schemas/events.js'
import { addressOf } from '../identity/network.js'

export const HOST: Actor = Object.freeze({ kind: 'host', id: null, address: null })
export const COMMAND: Actor = Object.freeze({ kind: 'command', id: null, address: null })
export const SYSTEM: Actor = Object.freeze({ kind: 'system', id: null, address: null })

/** A request that proves no identity. */
export function anonymous (address: string | null): Actor {
  return { kind: 'anonymous', id: null, address }
}

/** The user of this id, at this address. */
export function asUser (id: string, address: string | null): Actor {
  return { kind: 'user', id, address }
}

/** The machine client of this id, at this address. */
export function asClient (id: string, address: string | null): Actor {
  return { kind: 'client', id, address }
}

/** Something that happened. It never contains a password, a token, a secret, or text that a person typed. */
export interface NewEvent {
  type: EventType
  actor: Actor
  /** The id of the user, client or key that it happened to. */
  subject?: string | null
  sessionId?: string | null
  clientId?: string | null
  details?: Readonly<Record<string, string | number | boolean | readonly string[]>>
}

/**
 * Completes an event. It keeps only the fields of the actor that belong in an event, because a caller may pass more. It
 * never keeps text that a client wrote into a header instead of an address.
 */
export function createEvent (event: NewEvent, at: number): SecurityEvent {
  const { kind, id, address } = event.actor
  const actor = Object.freeze({ kind, id, address: addressOf(address) })
  const { outcome } = describeEvent(event.type)
  return Object.freeze({ subject: null, sessionId: null, clientId: null, details: {}, ...event, actor, outcome, at })
}

/** Receives an event after its commit. An error that it throws undoes nothing. */
type EventListener = (event: SecurityEvent) => void

/** Passes each event on to the listeners. */
export interface Events {
  on (listener: EventListener): void
  emit (event: SecurityEvent): void
}

/** Creates the events of one instance. A listener must not throw. */
export function createEvents (): Events {
  const listeners: EventListener[] = []
  return {
    on: listener => { listeners.push(listener) },
    emit (event) {
      for (const listener of listeners) listener(event)
    }
  }
}
