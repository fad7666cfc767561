import { execFile, spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { loadTools } from './tools.js'

/** What one run of load saw. */
export interface Load {
  /** A second. */
  rate: number
  /** Milliseconds of CPU time of the server process, all of its threads, for each request. */
  cpu: number
  /** Milliseconds. */
  p99: number
}

/** What is sent. */
export interface Target {
  url: string
  /** Of the server. */
  pid: number
  headers: Record<string, string>
  /** A file of access tokens, a line each, which are sent in turn instead of the one in `headers`. Default: none. */
  tokens?: string
}

interface Seen {
  requests: number
  seconds: number
  p99: number
  failed: number
}

/** Connections that are kept alive, each with one request under way. */
const CONNECTIONS = 32

const SCRIPT = fileURLToPath(new URL('../../bench/load.lua', import.meta.url))

/** What makes the load here: wrk where it is installed, which leaves the server more of the machine, else autocannon. */
export const GENERATOR = spawnSync('wrk', ['-v']).error === undefined ? 'wrk' : 'autocannon'

/**
 * Sends as many `GET`s as the server answers, for so many seconds, from a process that is not the server's.
 * @throws Error where one answer is not 2xx: a refusal costs less than an answer, and would look like speed.
 */
export async function runLoad (target: Target, seconds: number): Promise<Load> {
  // Of wrk they are whole ones.
  const lasting = Math.ceil(seconds)
  const before = await readCpu(target.pid)
  const { requests, seconds: took, p99, failed } = GENERATOR === 'wrk' ? await runWrk(target, lasting) : await runAutocannon(target, lasting)
  const cpu = await readCpu(target.pid) - before
  if (failed > 0 || requests === 0) throw new Error(`${failed} of ${requests} requests to ${target.url} failed`)
  return { rate: requests / took, cpu: cpu / requests, p99 }
}

/** The CPU time that a process has used until now, in milliseconds; the system counts it in steps of ten. */
export async function readCpu (pid: number): Promise<number> {
  const { pidusage } = await loadTools()
  return (await pidusage(pid)).ctime
}

async function runWrk ({ url, headers, tokens }: Target, seconds: number): Promise<Seen> {
  const { stdout } = await promisify(execFile)('wrk', [
    '-t1', `-c${CONNECTIONS}`, `-d${seconds}s`, '-s', SCRIPT, ...Object.entries(headers).map(([name, value]) => `-H${name}: ${value}`), url,
    ...tokens === undefined ? [] : ['--', tokens]
  ])
  return JSON.parse(stdout.trim().split('\n').at(-1) as string)
}

async function runAutocannon ({ url, headers, tokens }: Target, seconds: number): Promise<Seen> {
  const lines = tokens === undefined ? [] : readFileSync(tokens, 'utf8').split('\n')
  const share = Math.ceil(lines.length / CONNECTIONS)
  const { autocannon } = await loadTools()
  const result = await autocannon({
    url,
    headers,
    connections: CONNECTIONS,
    duration: seconds,
    // Each connection a share of its own: all of them from the first token on would send each token many times in a row.
    setupClient (client) {
      const own = lines.splice(0, share)
      if (own.length > 0) client.setRequests(own.map(token => ({ method: 'GET', path: new URL(url).pathname, headers: { ...headers, authorization: `Bearer ${token}` } })))
    }
  })
  const { latency, requests, errors, timeouts, non2xx, duration } = result
  return { requests: requests.total, seconds: duration, p99: latency.p99, failed: errors + timeouts + non2xx }
}
