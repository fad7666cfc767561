import { once } from 'node:events'
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'
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

/** Sends protected requests at a steady rate, from a thread of its own. One that is late counts from when it should have been sent. */
export async function probe (probed: Probed): Promise<Waits> {
  const [waits] = await once(new Worker(new URL(import.meta.url), { workerData: probed }), 'message') as [Waits]
  return waits
}

if (!isMainThread) {
  const { url, headers, seconds } = workerData as Probed
  const { latency, errors, timeouts, non2xx } = await autocannon({ url: `${url}/items/1`, headers, connections: CONNECTIONS, overallRate: RATE, duration: seconds, timeout: 30 })
  if (errors + timeouts + non2xx > 0) throw new Error(`${errors + timeouts + non2xx} requests to ${url} failed`)
  parentPort?.postMessage({ p50: latency.p50, p99: latency.p99, max: latency.max } satisfies Waits)
}
