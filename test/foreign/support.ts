import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { fastify } from 'fastify'
import type { FastifyInstance } from 'fastify'
import type { Test } from 'tap'
import latchkey from '../../app.js'
import type { LatchkeyOptions } from '../../app.js'
import { PASSWORD, TEST_OPTIONS } from '../helper.js'

/** A host that listens, with Latchkey under its own URL as the issuer, and `alice` in it. */
export async function serve (
  t: Test, options: LatchkeyOptions = {}
): Promise<{ app: FastifyInstance, issuer: string }> {
  const port = await freePort()
  const issuer = `http://127.0.0.1:${port}${options.prefix ?? ''}`
  const app = fastify() as FastifyInstance
  t.teardown(() => app.close())
  await app.register(latchkey, { ...TEST_OPTIONS, issuer, ...options })
  app.get('/protected-route', { onRequest: app.authenticate }, async request => ({ id: request.user.id }))
  await app.listen({ host: '127.0.0.1', port })
  await app.latchkey.users.add({ username: 'alice', password: PASSWORD, scopes: ['admin', 'items:read'] })
  return { app, issuer }
}

/** The issuer holds the port, so it must be known before anything listens. */
export async function freePort (): Promise<number> {
  const server = createServer()
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  await new Promise(resolve => server.close(resolve))
  return port
}
