import { once } from 'node:events'
import { get } from 'node:http'
import type { IncomingMessage } from 'node:http'
import { connect } from 'node:net'
import type { Socket } from 'node:net'

// The other side of the sockets that `sockets.ts` measures, in a process of its own.

/** How many handshakes run at a time. */
const TOGETHER = 200

/** The first byte of a close frame (RFC 6455 section 5.2). */
const CLOSE = 0x88

/** What `sockets.ts` asks for. */
export type Request =
  /** Opens a socket for each token. */
  { open: string[], url: string } |
  /** Requests `url`, and waits until these sockets were closed. */
  { end: [from: number, to: number], url: string }

/** Milliseconds from the response to the close of each socket, in no order. Empty after `open`. */
export type Answer = number[]

/** When each socket received the close frame. */
let closedAt: Array<Promise<number>> = []

async function open (url: URL, token: string): Promise<{ closed: Promise<number> }> {
  const socket = connect(Number(url.port), url.hostname)
  socket.write(
    `GET ${url.pathname} HTTP/1.1\r\nhost: ${url.host}\r\nauthorization: Bearer ${token}\r\nconnection: Upgrade\r\n` +
    'upgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n'
  )
  const [head] = await once(socket, 'data') as [Buffer]
  if (!head.toString().startsWith('HTTP/1.1 101')) throw new Error(head.toString().slice(0, 200))
  return { closed: awaitClose(socket) }
}

async function awaitClose (socket: Socket): Promise<number> {
  const [frame] = await once(socket, 'data') as [Buffer]
  const now = performance.now()
  if (frame[0] !== CLOSE) throw new Error('The server sent something other than a close frame')
  socket.destroy()
  return now
}

async function openAll (url: string, tokens: string[]): Promise<Answer> {
  closedAt = []
  for (let at = 0; at < tokens.length; at += TOGETHER) {
    const batch = await Promise.all(tokens.slice(at, at + TOGETHER).map(token => open(new URL(url), token)))
    closedAt.push(...batch.map(({ closed }) => closed))
  }
  return []
}

async function end (url: string, [from, to]: [number, number]): Promise<Answer> {
  const [response] = await once(get(url), 'response') as [IncomingMessage]
  const acknowledged = performance.now()
  response.resume()
  if (response.statusCode !== 204) throw new Error(`The revocation was answered with ${response.statusCode}`)
  return (await Promise.all(closedAt.slice(from, to))).map(time => time - acknowledged)
}

process.on('message', async (request: Request) => {
  process.send?.('open' in request ? await openAll(request.url, request.open) : await end(request.url, request.end))
})
