import { EventEmitter, once } from 'node:events'
import type { Server, ServerResponse } from 'node:http'

/** The requests that a server is working on. */
export interface Requests {
  /** Resolves when no request is in flight. */
  done (): Promise<void>
}

/** Counts the requests whose headers a server has read, and whose responses it has not finished. */
export function watchRequests (server: Server): Requests {
  const events = new EventEmitter()
  let count = 0
  server.on('request', function countRequest (_request: unknown, response: ServerResponse) {
    count++
    response.once('close', function forgetRequest () {
      count--
      if (count === 0) events.emit('idle')
    })
  })
  return {
    async done () {
      if (count > 0) await once(events, 'idle')
    }
  }
}
