import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { constants, setPriority } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as delay } from 'node:timers/promises'
import { promisify } from 'node:util'
import { hashSync } from 'bcryptjs'
import { findPort } from '../test/postgres/server.js'
import { compile } from './c-programs.js'
import { form } from './clients.js'
import type { Login } from './contender-process.js'

// The parts of a cluster: nodes, and a slow network.

const PASSWORD = 'marble otter sings at noon'

/** The number of users that log in. There are enough of them to stay below the limit of sessions for each user. */
const USERS = 256

/** Milliseconds until a node must be ready. */
const START_LIMIT = 30_000

/** Registers how to end what was started. The last registered is ended first. */
export type Later = (end: () => Promise<unknown>) => void

/** Nodes that share a database. */
export interface Site {
  urls: string[]
  logins: Login[]
  /** A file with refresh tokens of different sessions, one per line. */
  refreshTokens: string
}

export interface SiteOptions {
  /** Where its files are. */
  folder: string
  database: string
  nodes: number
  /** How many sessions to open. */
  sessions: number
  /** The folder of the compiled service. */
  dist: string
  later: Later
}

/**
 * Runs work that starts processes, and ends them afterwards. It also ends them if a signal ends the benchmark.
 */
export async function withCleanup<Result> (work: (later: Later) => Promise<Result>): Promise<Result> {
  const ends: Array<() => Promise<unknown>> = []
  let cleaning: Promise<void> | undefined
  // After a signal, the work goes on until the process exits, so more may be registered meanwhile.
  async function endAll (): Promise<void> {
    for (let end = ends.pop(); end !== undefined; end = ends.pop()) {
      await end().catch((error: unknown) => console.error(error))
    }
  }
  function onSignal (): void {
    cleaning ??= endAll()
    cleaning.then(() => process.exit(130), () => process.exit(1))
  }
  process.once('SIGINT', onSignal).once('SIGTERM', onSignal)
  try {
    return await work(end => ends.push(end))
  } finally {
    process.off('SIGINT', onSignal).off('SIGTERM', onSignal)
    cleaning ??= endAll()
    await cleaning
  }
}

/**
 * Starts a proxy that delays what it passes on to a server and back. Returns the URL of the server through the proxy,
 * or undefined if the proxy cannot be compiled on this machine.
 * @param milliseconds - the delay in each direction.
 */
export async function delayLink (
  server: string,
  { milliseconds, folder, later }: { milliseconds: number, folder: string, later: Later }
): Promise<string | undefined> {
  const compiling = compile('delay-proxy.c', { output: join(folder, 'delay-proxy') })
  later(() => compiling)
  const program = await compiling
  if (program === undefined) return undefined
  const url = new URL(server)
  const child = spawn(program, [url.port, String(milliseconds * 1_000)], { stdio: ['pipe', 'pipe', 'inherit'] })
  const exited = once(child, 'exit')
  later(async () => {
    child.stdin.end()
    await exited
  })
  // A network does not wait for a processor. Only root may raise a priority.
  try {
    setPriority(child.pid ?? 0, constants.priority.PRIORITY_HIGHEST)
  } catch {}
  const [port] = await Promise.race([
    once(createInterface({ input: child.stdout }), 'line'),
    exited.then(([code]) => { throw new Error(`The delaying proxy exited with code ${code}`) })
  ]) as [string]
  url.port = port
  return url.href
}

/** Starts nodes on a new database, with users and open sessions. */
export async function startSite ({ folder, database, nodes, sessions, dist, later }: SiteOptions): Promise<Site> {
  const cli = join(dist, 'cli.js')
  const env = {
    PATH: process.env.PATH,
    NODE_ENV: 'production',
    LATCHKEY_DATABASE: database,
    LATCHKEY_SECRET: 'a secret of the benchmark with more than 32 bytes',
    LATCHKEY_ISSUER: 'http://127.0.0.1',
    LATCHKEY_BCRYPT_COST: '4',
    LATCHKEY_LOG_LEVEL: 'warn',
    LATCHKEY_SHED_LOAD: 'false'
  }
  const hash = hashSync(PASSWORD, 4)
  const names = Array.from({ length: USERS }, (_, number) => `user-${number}`)
  const file = join(folder, 'users.ndjson')
  await writeFile(file, names.map(username => `${JSON.stringify({ username, password_hash: hash })}\n`).join(''))
  const importing = promisify(execFile)(process.execPath, [cli, 'users', 'import', file], { cwd: folder, env })
  later(() => importing.catch(() => {})) // The caller gets the error.
  await importing
  const urls = await Promise.all(Array.from({ length: nodes }, () => startNode(cli, { cwd: folder, env, later })))

  const logins = names.map(username => form('/token', { grant_type: 'password', username, password: PASSWORD }))
  const tokens: string[] = []
  for (const { path, ...login } of logins.slice(0, sessions)) {
    const response = await fetch(urls[0] + path, login)
    if (!response.ok) throw new Error(`A login was answered with ${response.status}: ${await response.text()}`)
    tokens.push((await response.json() as { refresh_token: string }).refresh_token)
  }
  const refreshTokens = join(folder, 'refresh-tokens')
  await writeFile(refreshTokens, tokens.join('\n'))
  return { urls, logins, refreshTokens }
}

/** Starts a node and waits until it is ready. Returns its URL. */
async function startNode (
  cli: string,
  { cwd, env, later }: { cwd: string, env: NodeJS.ProcessEnv, later: Later }
): Promise<string> {
  const port = await findPort()
  const child = spawn(process.execPath, [cli, 'serve'], {
    cwd,
    env: { ...env, PORT: String(port) },
    // Its warnings must not mix with the results on standard output.
    stdio: ['ignore', process.stderr, 'inherit']
  })
  const exited = once(child, 'exit')
  later(async () => {
    child.kill('SIGKILL')
    await exited
  })
  const url = `http://127.0.0.1:${port}`
  const deadline = performance.now() + START_LIMIT
  while (!await isReady(url)) {
    if (child.exitCode !== null) throw new Error(`A node exited with code ${child.exitCode} before it was ready`)
    if (performance.now() > deadline) throw new Error(`A node was not ready after ${START_LIMIT / 1_000} seconds`)
    await delay(50)
  }
  return url
}

async function isReady (url: string): Promise<boolean> {
  try {
    const response = await fetch(`${url}/health/ready`)
    await response.text()
    return response.ok
  } catch {
    return false
  }
}
