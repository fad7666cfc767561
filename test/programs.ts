import { spawn } from 'node:child_process'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import type { Test } from 'tap'
import { until } from './verifier/support.js'

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
