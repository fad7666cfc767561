import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import autocannon from 'autocannon'
import type { Headers } from './contender-process.js'

/** Requests a second: far below what a server can, so that what is seen is how long they wait, not how many there are. */
const RATE = 500

const CONNECTIONS = 10

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

/** Sends protected requests at a steady rate, from a process of its own. One that is late counts from when it should have been sent. */
export async function probe (probed: Probed): Promise<Waits> {
  const child = fork(fileURLToPath(import.meta.url), [JSON.stringify(probed)])
  const failed = once(child, 'exit').then(([code]) => { throw new Error(`The probe of ${probed.url} ended with ${code}`) })
  const [waits] = await Promise.race([once(child, 'message'), failed]) as [Waits]
  failed.catch(() => {})
  return waits
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { url, headers, seconds } = JSON.parse(process.argv[2] ?? '') as Probed
  const { latency, errors, timeouts, non2xx } = await autocannon({ url: `${url}/items/1`, headers, connections: CONNECTIONS, overallRate: RATE, duration: seconds, timeout: 30 })
  if (errors + timeouts + non2xx > 0) throw new Error(`${errors + timeouts + non2xx} requests to ${url} failed`)
  process.send?.({ p50: latency.p50, p99: latency.p99, max: latency.max } satisfies Waits, () => process.disconnect())
}
