import { PerformanceObserver } from 'node:perf_hooks'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

/** Runs of each, of which the least is taken, after some that do not count. */
const RUNS = 20
const FIRST_RUNS = 10

// What the optimizing compilers leave of the allocations hangs on when they are done.
for (const flag of ['--expose-gc', '--no-opt', '--no-maglev']) setFlagsFromString(flag)
const collectGarbage = runInNewContext('gc') as (options: { type: 'minor' }) => void

/**
 * The bytes that each of these allocates: by how much the heap grows, where nothing was collected meanwhile. Whatever
 * else is there allocates too, now and then; so the least of several runs counts, to which all belongs that is allocated each time.
 * @param works - run by turns. Each fills no more than a part of the young generation.
 */
export async function measureAllocations (works: ReadonlyArray<() => Promise<void>>): Promise<number[]> {
  let collections = 0
  const observer = new PerformanceObserver(list => { collections += list.getEntries().length })
  observer.observe({ entryTypes: ['gc'] })

  async function measure (work: () => Promise<void>): Promise<number> {
    collectGarbage({ type: 'minor' })
    await tellCollections()
    const before = collections
    const start = sizeOfHeap()
    await work()
    const end = sizeOfHeap()
    await tellCollections()
    return collections === before ? end - start : Infinity
  }

  for (let run = 0; run < FIRST_RUNS; run++) for (const work of works) await work()
  const least = works.map(() => Infinity)
  for (let run = 0; run < RUNS; run++) {
    for (const [index, work] of works.entries()) least[index] = Math.min(least[index] as number, await measure(work))
  }
  observer.disconnect()
  return least
}

/** An observer is told in a later turn of the event loop. */
async function tellCollections (): Promise<void> {
  for (let turn = 0; turn < 2; turn++) await nextTurn()
}

function sizeOfHeap (): number {
  const { heapUsed, arrayBuffers } = process.memoryUsage()
  return heapUsed + arrayBuffers
}
