import { connect } from 'node:net'
import type { AddressInfo, Socket } from 'node:net'
import type { FastifyInstance } from 'fastify'
import type { Test } from 'tap'
import { LIMITS } from '../../lib/http/connection-limits.js'
import type { Limits } from '../../lib/http/connection-limits.js'
import { readServiceOptions } from '../../lib/options/options.js'
import type { LatchkeyOptions } from '../../schemas/options.js'
import { buildServer } from '../../server.js'
import { PASSWORD, TEST_OPTIONS } from '../helper.js'

/**
 * The service, as `latchkey serve` builds it, silent and in memory, closed when the test ends; `alice` may read the
 * metrics. The docs page takes time, and few tests look at it.
 */
export async function buildService (
  t: Test, options: LatchkeyOptions = {}, limits: Partial<Limits> = {}
): Promise<FastifyInstance> {
  const app = await buildServer(
    { ...TEST_OPTIONS, docs: false, ...options }, readServiceOptions({ logLevel: 'silent' }),
    { limits: { ...LIMITS, ...limits } }
  )
  t.teardown(() => app.close())
  await app.ready()
  await app.latchkey.users.add({ username: 'alice', password: PASSWORD, scopes: ['metrics:read'] })
  return app
}

/** Sends bytes on a connection of their own, and gives all that comes back until the service closes it. */
export async function exchange (
  app: FastifyInstance, bytes: string, also: (socket: Socket) => void = () => {}
): Promise<string> {
  const { port } = app.server.address() as AddressInfo
  return await new Promise(resolve => {
    const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true })
    let answer = ''
    socket.on('data', data => { answer += String(data) })
    socket.on('end', () => socket.end())
    socket.on('error', () => {}) // Cut off while we were still writing.
    socket.on('close', () => resolve(answer))
    socket.write(bytes)
    also(socket)
  })
}
