import { spawnSync } from 'node:child_process'
import { fastify } from 'fastify'
import type { FastifyInstance } from 'fastify'
import type { Test } from 'tap'
import latchkey from '../../app.js'
import type { LatchkeyOptions } from '../../app.js'
import { PASSWORD, TEST_OPTIONS } from '../helper.js'
import { freePort } from '../programs.js'

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

/** Debian's Python has the packages that apt-get installs. */
export const PYTHON = '/usr/bin/python3'

/** Returns the reason to skip a test that imports these packages of Python, or false if they are installed. */
export function skipWithoutPython (...packages: string[]): string | false {
  const names = packages.join(', ')
  return spawnSync(PYTHON, ['-c', `import ${names}`]).status !== 0 && `${PYTHON} does not have all of ${names}`
}
