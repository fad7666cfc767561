import { once } from 'node:events'
import { connect } from 'node:net'
import type { AddressInfo } from 'node:net'
import type { FastifyInstance } from 'fastify'
import type { Test } from 'tap'

/** One connection that is kept alive. */
export interface Connection {
  /** Sends so many requests at once (default: one), and returns their statuses when all are answered. */
  send (path: string, header: string, times?: number): Promise<number[]>
}

/** Connects to an app that listens. Of its answers, each must carry a `Content-Length`. */
export async function openConnection (t: Test, app: FastifyInstance): Promise<Connection> {
  const socket = connect({ host: '127.0.0.1', port: (app.server.address() as AddressInfo).port, noDelay: true })
  t.teardown(() => socket.destroy())
  let text = ''
  let take = (): void => {}
  socket.on('data', data => {
    text += data.toString('latin1')
    take()
  })
  await once(socket, 'connect')
  return {
    send: (path, header, times = 1) => new Promise(resolve => {
      const statuses: number[] = []
      take = () => {
        for (;;) {
          const answer = /^HTTP\/1\.1 (\d+) [^]*?\r\ncontent-length: (\d+)(?=\r\n)[^]*?\r\n\r\n/i.exec(text)
          const end = answer === null ? Infinity : answer[0].length + Number(answer[2])
          if (end > text.length) return
          statuses.push(Number(answer?.[1]))
          text = text.slice(end)
          if (statuses.length === times) return resolve(statuses)
        }
      }
      socket.write(`GET ${path} HTTP/1.1\r\nHost: localhost\r\n${header}\r\n\r\n`.repeat(times))
    })
  }
}
