import { PerformanceObserver } from 'node:perf_hooks'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

/** Runs of each that count, after some that do not. */
const RUNS = 41
const FIRST_RUNS = 50

// What the optimizing compilers leave of the allocations hangs on when they are done.
for (const flag of ['--expose-gc', '--no-opt', '--no-maglev']) setFlagsFromString(flag)
const collectGarbage = runInNewContext('gc') as (options: { type: 'minor' }) => void

/**
 * The bytes that each of these allocates: by how much the heap grows, where nothing was collected meanwhile. Often
 * something else allocates, or the rest of a page is skipped, and seldom something is collected unseen; so it is the
 * lower quartile.
 * @param works - run by turns. Each fills no more than a part of the young generation.
 */
export async function measureAllocations (works: ReadonlyArray<() => Promise<void>>): Promise<number[]> {
  let collections = 0
  const observer = new PerformanceObserver(list => { collections += list.getEntries().length })
  observer.observe({ entryTypes: ['gc'] })

  /** Undefined: something was collected. */
  async function measure (work: () => Promise<void>): Promise<number | undefined> {
    for (let age = 0; age < 2; age++) collectGarbage({ type: 'minor' })
    await tellCollections()
    const before = collections
    const start = sizeOfHeap()
    await work()
    const end = sizeOfHeap()
    await tellCollections()
    return collections === before ? end - start : undefined
  }

  for (let run = 0; run < FIRST_RUNS; run++) for (const work of works) await work()
  const measured = works.map(() => [] as number[])
  for (let run = 0; run < RUNS; run++) {
    for (const [index, work] of works.entries()) {
      measured[index]?.push(
        await measure(work) ?? await measure(work) ?? Infinity
      )
    }
  }
  observer.disconnect()
  return measured.map(bytes => bytes.sort((a, b) => a - b)[RUNS >> 2] as number)
}

/** An observer is told in a later turn of the event loop. */
async function tellCollections (): Promise<void> {
  for (let turn = 0; turn < 4; turn++) await nextTurn()
}

function sizeOfHeap (): number {
  return process.memoryUsage().heapUsed
}
