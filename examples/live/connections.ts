// The open connections of server.ts: it finds them by their id, and closes them.
//
//   node dist/examples/live/server.js

import { randomUUID } from 'node:crypto'
import type { AuthenticatedUser, LatchkeyError } from 'fastify-latchkey'
import { createLease } from './lease.js'
import type { Lease } from './lease.js'

/** What the server sends over a connection, as JSON. */
export type Message =
  { type: 'hello', id: string } |
  { type: 'message', from: string, text: string }

/** The part of an open connection that differs between a WebSocket and an event stream. */
interface Transport {
  send (message: Message): void
  /** Closes it, and accepts nothing more from it. */
  close (reason: LatchkeyError): void
}

type OpenConnection = Pick<Lease, 'renew' | 'end'>

/** The open connections of all users. */
export interface Connections {
  /** Adds a connection, and sends its id over it. It closes when the token of its user dies. */
  open (user: AuthenticatedUser, transport: Transport): OpenConnection
  /** Returns a connection of this user. */
  find (id: string, user: AuthenticatedUser): Lease | undefined
  send (message: Message): void
}

/** Creates an empty list. */
export function createConnections (): Connections {
  const connections = new Map<string, { lease: Lease, transport: Transport }>()

  return {
    open (user, transport) {
      const id = randomUUID()
      const lease = createLease(user, reason => {
        connections.delete(id)
        transport.close(reason)
      })
      // The token may have died while the connection was opened.
      if (user.signal.aborted) return lease
      connections.set(id, { lease, transport })
      transport.send({ type: 'hello', id })
      return {
        renew: lease.renew,
        end () {
          connections.delete(id)
          lease.end()
        }
      }
    },
    find (id, user) {
      const lease = connections.get(id)?.lease
      return lease?.user.id === user.id ? lease : undefined
    },
    send (message) {
      for (const { transport } of connections.values()) transport.send(message)
    }
  }
}
