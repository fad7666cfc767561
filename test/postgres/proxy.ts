import { once } from 'node:events'
import { connect, createServer } from 'node:net'
import type { AddressInfo, Socket } from 'node:net'
import type { Test } from 'tap'

/** A link to a server that can be cut. */
export interface Link {
  /** The URL of the server, through the link. */
  readonly url: string
  /** Holds the bytes of both directions back; connections stay, and new ones are accepted: nobody is told. */
  cut (): void
  /** Lets through what was held, and what comes from now on. */
  restore (): void
  /** Ends every connection that there is with a reset. */
  reset (): void
  /** Leads new connections to another server, as a name does that a failover has moved; those that there are stay. */
  lead (target: string): void
}

/** Makes a link to the server of a URL. */
export async function createLink (t: Test, target: string): Promise<Link> {
  let { hostname, port } = new URL(target)
  const sockets = new Set<Socket>()
  let isCut = false

  function join (from: Socket, to: Socket): void {
    sockets.add(from)
    from.on('data', chunk => to.write(chunk))
    from.on('end', () => to.end())
    from.on('error', () => {})
    from.on('close', () => {
      sockets.delete(from)
      to.destroy()
    })
    if (isCut) from.pause()
  }

  const server = createServer({ allowHalfOpen: true }, socket => {
    const other = connect({ host: hostname, port: Number(port), allowHalfOpen: true })
    join(socket, other)
    join(other, socket)
  })
  t.teardown(async () => {
    for (const socket of sockets) socket.destroy()
    server.close()
    await once(server, 'close')
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')

  const url = new URL(target)
  url.hostname = '127.0.0.1'
  url.port = String((server.address() as AddressInfo).port)
  return {
    url: url.href,
    cut () {
      isCut = true
      for (const socket of sockets) socket.pause()
    },
    restore () {
      isCut = false
      for (const socket of sockets) socket.resume()
    },
    reset () {
      for (const socket of sockets) socket.resetAndDestroy()
    },
    lead (other) {
      ({ hostname, port } = new URL(other))
    }
  }
}
