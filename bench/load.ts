import { execFile, spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { loadTools } from './tools.js'

/** The results of one run. */
export interface Load {
  /** Requests per second. */
  rate: number
  /** Milliseconds of CPU time of the server process, in all threads, per request. */
  cpu: number
  /** Milliseconds. */
  p99: number
}

/** Where to send the requests, and how. */
export interface Target {
  url: string
  /** The process id of the server. */
  pid: number
  headers: Record<string, string>
  /** A file of access tokens, one per line, to send in turn instead of the one in `headers`. Default: none. */
  tokens?: string
}

interface Seen {
  requests: number
  seconds: number
  p99: number
  failed: number
}

/** The number of connections. Each is kept alive and has one request in progress. */
const CONNECTIONS = 32

const SCRIPT = fileURLToPath(new URL('../../bench/load.lua', import.meta.url))

/**
 * The load generator: wrk if it is installed, because it leaves more of the machine to the server, otherwise
 * autocannon.
 */
export const GENERATOR = spawnSync('wrk', ['-v']).error === undefined ? 'wrk' : 'autocannon'

/**
 * Sends as many `GET` requests as the server can answer, for this many seconds, from a separate process.
 * @throws if a response is not 2xx, because an error is cheaper than a result and would look fast.
 */
export async function runLoad (target: Target, seconds: number): Promise<Load> {
  // wrk accepts whole seconds only.
  const wholeSeconds = Math.ceil(seconds)
  const before = await readCpu(target.pid)
  const {
    requests,
    seconds: took,
    p99,
    failed
  } = GENERATOR === 'wrk' ? await runWrk(target, wholeSeconds) : await runAutocannon(target, wholeSeconds)
  const cpu = await readCpu(target.pid) - before
  if (failed > 0 || requests === 0) throw new Error(`${failed} of ${requests} requests to ${target.url} failed`)
  return { rate: requests / took, cpu: cpu / requests, p99 }
}

/** Reads the CPU time of a process, in milliseconds. The system counts it in steps of ten. */
export async function readCpu (pid: number): Promise<number> {
  const { pidusage } = await loadTools()
  return (await pidusage(pid)).ctime
}

async function runWrk ({ url, headers, tokens }: Target, seconds: number): Promise<Seen> {
  const { stdout } = await promisify(execFile)('wrk', [
    '-t1',
    `-c${CONNECTIONS}`,
    `-d${seconds}s`,
    '-s',
    SCRIPT,
    ...Object.entries(headers).map(([name, value]) => `-H${name}: ${value}`),
    url,
    ...(tokens === undefined ? [] : ['--', tokens])
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
    // Each connection gets its own share. If all started with the first token, each token would be sent many times in a
    // row.
    setupClient (client) {
      const own = lines.splice(0, share)
      if (own.length > 0) {
        client.setRequests(
          own.map(token => ({
            method: 'GET',
            path: new URL(url).pathname,
            headers: { ...headers, authorization: `Bearer ${token}` }
          }))
        )
      }
    }
  })
  const { latency, requests, errors, timeouts, non2xx, duration } = result
  return { requests: requests.total, seconds: duration, p99: latency.p99, failed: errors + timeouts + non2xx }
}
