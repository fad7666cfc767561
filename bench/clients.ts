import { Agent, request } from 'node:http'
import { readFileSync, writeFileSync } from 'node:fs'
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'
import type { Login } from './contender-process.js'
import { percentile } from './section.js'

/** The results of many clients. */
export interface Storm {
  count: number
  /** Responses per second. */
  rate: number
  /** Milliseconds. */
  p50: number
  /** Milliseconds. */
  p99: number
}

/** The task that each client repeats. */
type Task =
  | { url: string, kind: 'login', login: Login }
  | { url: string, kind: 'refresh', refreshTokens: string }

/** A client changes its address after this many attempts, because each address has a limit of a hundred per minute. */
const ATTEMPTS = 90

/**
 * Starts a thread with clients that send without a pause, each on its own connection.
 * @returns `stop`, which ends the clients and returns the results. It rejects if a response was an error.
 */
export function startStorm (task: Task, clients: number): { stop: () => Promise<Storm> } {
  const worker = new Worker(new URL(import.meta.url), { workerData: { task, clients } })
  const outcome = new Promise<Storm>((resolve, reject) => {
    worker.once('message', resolve)
    worker.once('error', reject)
  })
  outcome.catch(() => {}) // The caller of `stop` gets the error.
  return {
    async stop () {
      worker.postMessage('stop')
      return await outcome
    }
  }
}

/** Runs clients for this many milliseconds. */
export async function runStorm (task: Task, clients: number, duration: number): Promise<Storm> {
  const { stop } = startStorm(task, clients)
  await new Promise(resolve => setTimeout(resolve, duration))
  return await stop()
}

if (!isMainThread) await storm(workerData as { task: Task, clients: number })

async function storm ({ task, clients }: { task: Task, clients: number }): Promise<void> {
  const end = new AbortController()
  parentPort?.once('message', () => end.abort())
  const times: number[] = []
  const refreshTokens = task.kind === 'refresh' ? readFileSync(task.refreshTokens, 'utf8').split('\n') : []
  const begun = performance.now()
  await Promise.all(Array.from({ length: clients }, async function work (_, client) {
    const send = createSender(task, client, refreshTokens)
    while (!end.signal.aborted) {
      const start = performance.now()
      await send()
      times.push(performance.now() - start)
    }
  }))
  const seconds = (performance.now() - begun) / 1_000
  // A refresh token works once, so store the latest ones for the next run.
  if (task.kind === 'refresh') writeFileSync(task.refreshTokens, refreshTokens.join('\n'))
  times.sort((a, b) => a - b)
  parentPort?.postMessage({
    count: times.length,
    rate: times.length / seconds,
    p50: percentile(times, 0.5),
    p99: percentile(times, 0.99)
  } satisfies Storm)
}

function createSender (task: Task, client: number, refreshTokens: string[]): () => Promise<void> {
  if (task.kind === 'login') {
    let attempts = 0
    let agent: Agent
    return async function logIn () {
      if (attempts++ % ATTEMPTS === 0) {
        agent?.destroy()
        agent = new Agent({ keepAlive: true, maxSockets: 1, localAddress: nextAddress() })
      }
      await send(agent, task.url, task.login)
    }
  }
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  return async function refresh () {
    const body = await send(agent, task.url, {
      method: 'POST',
      path: '/token',
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
      body: String(new URLSearchParams({ grant_type: 'refresh_token', refresh_token: refreshTokens[client] ?? '' }))
    })
    refreshTokens[client] = JSON.parse(body).refresh_token
  }
}

/** Returns a random address of the loopback network, so that the next run does not reuse the addresses of this one. */
function nextAddress (): string {
  const random = (): number => 1 + Math.floor(Math.random() * 250)
  return `127.${random()}.${random()}.${random()}`
}

async function send (agent: Agent, url: string, { method, path, headers, body }: Login): Promise<string> {
  return await new Promise((resolve, reject) => {
    const outgoing = request(
      url + path,
      { method, agent, headers: { ...headers, 'content-length': Buffer.byteLength(body) } },
      response => {
        let text = ''
        response
          .setEncoding('utf8')
          .on('data', chunk => {
            text += chunk
          })
          .on('end', () => {
            if ((response.statusCode ?? 0) < 300) resolve(text)
            else reject(new Error(`${path} answered ${response.statusCode}: ${text.slice(0, 200)}`))
          })
          .on('error', reject)
      }
    )
    outgoing.on('error', reject).end(body)
  })
}
