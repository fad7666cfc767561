import { Agent, request } from 'node:http'
import { readFileSync, writeFileSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
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
  /** The bodies of the responses to logins. */
  answers: string[]
}

/** The task that each client repeats. If there are several URLs, the clients are divided among them. */
type Task = { urls: string[] } & (
  /** All clients together send these requests in turn. */
  | { kind: 'login', logins: Login[] }
  /** Each client refreshes its own session. `refreshTokens` is a file with a line for each client. */
  | { kind: 'refresh', refreshTokens: string }
  /** All clients together revoke each token once. The last one ends the task. */
  | { kind: 'revoke', tokens: string[] }
)

/** A client changes its address after this many attempts, because each address has a limit of a hundred per minute. */
const ATTEMPTS = 90

/**
 * Starts a thread with clients that send without a pause, each on its own connection.
 * @returns `stop`, which ends the clients and returns the results, and `ended`, which resolves when the task is done.
 *   Both reject if a response was an error.
 */
export function startStorm (
  task: Task,
  clients: number
): { stop: () => Promise<Storm>, ended: Promise<unknown> } {
  const worker = new Worker(new URL(import.meta.url), { workerData: { task, clients } })
  const outcome = new Promise<Storm>((resolve, reject) => {
    worker.once('message', resolve)
    worker.once('error', reject)
  })
  outcome.catch(() => {}) // The caller of `stop` gets the error.
  return {
    ended: outcome,
    async stop () {
      worker.postMessage('stop')
      return await outcome
    }
  }
}

/** Runs clients for this many milliseconds, or until the task is done. */
export async function runStorm (task: Task, clients: number, duration: number): Promise<Storm> {
  const { stop, ended } = startStorm(task, clients)
  await Promise.race([ended, delay(duration, undefined, { ref: false })])
  return await stop()
}

if (!isMainThread) await storm(workerData as { task: Task, clients: number })

async function storm ({ task, clients }: { task: Task, clients: number }): Promise<void> {
  const end = new AbortController()
  parentPort?.once('message', () => end.abort())
  const times: number[] = []
  const answers: string[] = []
  const refreshTokens = task.kind === 'refresh' ? readFileSync(task.refreshTokens, 'utf8').split('\n') : []
  const begun = performance.now()
  await Promise.all(Array.from({ length: clients }, async function work (_, client) {
    const send = createSender({ task, client, refreshTokens, answers })
    while (!end.signal.aborted) {
      const start = performance.now()
      if (!await send()) break
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
    p99: percentile(times, 0.99),
    answers
  } satisfies Storm)
}

interface Client {
  task: Task
  client: number
  /** Shared by all clients. */
  refreshTokens: string[]
  /** Shared by all clients. */
  answers: string[]
}

/** Returns a function that sends the next request. It returns whether there was one to send. */
function createSender ({ task, client, refreshTokens, answers }: Client): () => Promise<boolean> {
  const url = task.urls[client % task.urls.length] ?? ''
  let agent = new Agent({ keepAlive: true, maxSockets: 1 })
  switch (task.kind) {
    case 'login': {
      let attempts = 0
      return async function logIn () {
        const login = task.logins.shift() as Login
        task.logins.push(login)
        if (attempts++ % ATTEMPTS === 0) {
          agent.destroy()
          agent = new Agent({ keepAlive: true, maxSockets: 1, localAddress: nextAddress() })
        }
        answers.push(await send(agent, url, login))
        return true
      }
    }
    case 'refresh':
      return async function refresh () {
        const members = { grant_type: 'refresh_token', refresh_token: refreshTokens[client] ?? '' }
        refreshTokens[client] = JSON.parse(await send(agent, url, form('/token', members))).refresh_token
        return true
      }
    case 'revoke':
      return async function revoke () {
        const token = task.tokens.pop()
        if (token !== undefined) await send(agent, url, form('/revoke', { token }))
        return token !== undefined
      }
  }
}

/** Returns a request that posts a form. */
export function form (path: string, members: Record<string, string>): Login {
  return {
    method: 'POST',
    path,
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
    body: String(new URLSearchParams(members))
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
