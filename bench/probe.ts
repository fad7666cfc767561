import { fork } from 'node:child_process'
import { once } from 'node:events'
import { Agent, get } from 'node:http'
import { fileURLToPath } from 'node:url'
import type { Headers } from './contender-process.js'
import { percentile } from './section.js'

/**
 * Milliseconds between two requests. A server needs far less, so this measures how long requests wait, not how many it
 * handles.
 */
const PAUSE = 5

/** Milliseconds of requests that are not counted. */
const WARMING = 200

/** The maximum number of connections. If none is free, a request waits, and that time counts. */
const CONNECTIONS = 50

/** How long protected requests wait, in milliseconds. */
export interface Waits {
  p50: number
  p99: number
  max: number
}

interface Probed {
  url: string
  headers: Headers
  seconds: number
}

/**
 * Sends protected requests at a steady rate from a separate process, whether or not the earlier ones were answered.
 * Otherwise a blocked server would get fewer requests and hide the block. autocannon is not precise enough: it counts
 * whole milliseconds.
 */
export async function probe (probed: Probed): Promise<Waits> {
  const child = fork(fileURLToPath(import.meta.url), [JSON.stringify(probed)])
  const failed = once(child, 'exit').then(([code]) => {
    throw new Error(`The probe of ${probed.url} exited with code ${code}`)
  })
  failed.catch(() => {}) // The process also exits after its message.
  const [waits] = await Promise.race([once(child, 'message'), failed]) as [Waits]
  return waits
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const waits = await send(JSON.parse(process.argv[2] ?? '') as Probed)
  process.send?.(waits, () => process.disconnect())
}

async function send ({ url, headers, seconds }: Probed): Promise<Waits> {
  const agent = new Agent({ keepAlive: true, maxSockets: CONNECTIONS })
  const times: Array<Promise<number>> = []
  // Not counted: this opens connections and lets V8 compile the program.
  for (const begun = performance.now(); performance.now() - begun < WARMING;) await ask(url, headers, agent)
  await new Promise<void>(resolve => {
    const timer = setInterval(() => {
      times.push(ask(url, headers, agent))
      if (times.length < seconds * 1_000 / PAUSE) return
      clearInterval(timer)
      resolve()
    }, PAUSE)
  })
  const sorted = (await Promise.all(times)).sort((a, b) => a - b)
  agent.destroy()
  return { p50: percentile(sorted, 0.5), p99: percentile(sorted, 0.99), max: percentile(sorted, 1) }
}

/** Returns the milliseconds until the response is complete. */
async function ask (url: string, headers: Headers, agent: Agent): Promise<number> {
  const begun = performance.now()
  return await new Promise((resolve, reject) => {
    get(`${url}/items/1`, { agent, headers }, response => {
      response.resume().on('end', () => {
        if (response.statusCode === 200) resolve(performance.now() - begun)
        else reject(new Error(`${url} answered ${response.statusCode}`))
      })
    }).on('error', reject)
  })
}
