import { spawn, spawnSync } from 'node:child_process'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { fastify } from 'fastify'
import type { FastifyInstance } from 'fastify'
import type { Test } from 'tap'
import latchkey from '../../app.js'
import type { LatchkeyOptions } from '../../app.js'
import { PASSWORD, TEST_OPTIONS } from '../helper.js'
import { until } from '../verifier/support.js'

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

interface Program {
  command: string
  args: string[]
  env?: Record<string, string>
  /** It responds with 2xx when the program is ready. */
  url: string
}

/** Starts a program that listens, waits until it is ready, and stops it when the test ends. */
export async function startProgram (t: Test, { command, args, env, url }: Program): Promise<void> {
  const child = spawn(command, args, { stdio: ['ignore', 'ignore', 'pipe'], env: { ...process.env, ...env } })
  let output = ''
  child.stderr.on('data', chunk => { output += String(chunk) })
  t.teardown(async () => {
    const ended = new Promise(resolve => child.on('exit', resolve))
    if (child.exitCode === null && child.kill()) await ended
  })
  await until(async () => {
    if (child.exitCode !== null) throw new Error(`${command} has ended: ${output}`)
    return await fetch(url).then(({ ok }) => ok, () => false)
  })
}

/** Debian's Python has the packages that apt-get installs. */
export const PYTHON = '/usr/bin/python3'

/** Returns the reason to skip a test that imports these packages of Python, or false if they are installed. */
export function skipWithoutPython (...packages: string[]): string | false {
  const names = packages.join(', ')
  return spawnSync(PYTHON, ['-c', `import ${names}`]).status !== 0 && `${PYTHON} does not have all of ${names}`
}
