import { fork } from 'node:child_process'
import { once } from 'node:events'
import { Agent, get } from 'node:http'
import { fileURLToPath } from 'node:url'
import type { Headers } from './contender-process.js'
import { percentile } from './section.js'

/** Milliseconds between two requests: far more than a server needs, so that what is seen is how long they wait, not how many there are. */
const PAUSE = 5

/** Milliseconds before it begins to count. */
const WARMING = 200

/** At most. A request that finds none free waits for one, and that counts. */
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
 * Sends protected requests at a steady rate, from a process of its own, whether those before were answered or not: a server that stands
 * must not hide it by being asked less. Not by autocannon, which counts whole milliseconds.
 */
export async function probe (probed: Probed): Promise<Waits> {
  const child = fork(fileURLToPath(import.meta.url), [JSON.stringify(probed)])
  const failed = once(child, 'exit').then(([code]) => { throw new Error(`The probe of ${probed.url} ended with ${code}`) })
  failed.catch(() => {}) // It ends after its message too.
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
  // Not counted: connections are made, and the program is not compiled yet.
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

/** Milliseconds until the answer is there. */
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
