import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { listContenders, startProgram } from './contenders.js'
import type { RunningContender } from './contenders.js'

/** The maximum number of places to list. */
const PLACES = 12

interface CpuProfile {
  startTime: number
  endTime: number
  nodes: Array<{ id: number, callFrame: { functionName: string, url: string } }>
  samples: number[]
  timeDeltas: number[]
}

/**
 * Finds where Latchkey spends its time, with `node --cpu-prof`, to explain a missed target.
 * @param args - the arguments of the contender.
 * @param work - the work to profile. The time before it does not count.
 * @returns a sentence that lists the places. Each package counts as one place.
 */
export async function profile (
  title: string,
  args: string[],
  work: (contender: RunningContender) => Promise<unknown>
): Promise<string> {
  const [latchkey] = await listContenders()
  if (latchkey?.command === undefined) throw new Error('The first contender must be Latchkey')
  const [node, ...program] = latchkey.command
  const folder = await mkdtemp(join(tmpdir(), 'latchkey-profile-'))
  try {
    const contender = await startProgram([
      node,
      '--cpu-prof',
      '--cpu-prof-interval',
      '200',
      '--cpu-prof-dir',
      folder,
      ...program,
      ...args
    ])
    const begun = performance.now()
    try {
      await work(contender)
    } finally {
      await contender.stop()
    }
    const lasted = performance.now() - begun
    return `${title} (share of the time that was not idle): ${describe(await readProfile(folder), lasted)}.`
  } finally {
    await rm(folder, { recursive: true })
  }
}

/** Reads the longest profile, which is that of the main thread. Each thread writes one. */
async function readProfile (folder: string): Promise<CpuProfile> {
  const profiles = await Promise.all(
    (await readdir(folder)).map(async name => JSON.parse(await readFile(join(folder, name), 'utf8')) as CpuProfile)
  )
  const [main] = profiles.sort((a, b) => (b.endTime - b.startTime) - (a.endTime - a.startTime))
  if (main === undefined) throw new Error('The contender wrote no profile')
  return main
}

function describe ({ startTime, endTime, nodes, samples, timeDeltas }: CpuProfile, lasted: number): string {
  const places = new Map(nodes.map(({ id, callFrame }) => [id, placeOf(callFrame)]))
  const times = new Map<string, number>()
  let now = startTime
  let total = 0
  for (const [at, sample] of samples.entries()) {
    const time = timeDeltas[at] ?? 0
    now += time
    const place = places.get(sample) ?? ''
    if (now < endTime - lasted * 1_000 || place === '(idle)') continue
    times.set(place, (times.get(place) ?? 0) + time)
    total += time
  }
  return [...times]
    .sort(([, a], [, b]) => b - a)
    .slice(0, PLACES)
    .map(([place, time]) => `${place} ${((100 * time) / total).toFixed(1)} %`)
    .join(', ')
}

/** Returns a package, a part of Node.js, a file of Latchkey, or a function of the engine. */
function placeOf ({ functionName, url }: { functionName: string, url: string }): string {
  const inPackage = /node_modules\/((?:@[^/]+\/)?[^/]+)\/(?!.*node_modules)/.exec(url)?.[1]
  if (inPackage !== undefined) return inPackage
  const ours = /\/dist\/(.+)\.js$/.exec(url)?.[1]
  if (ours !== undefined) return `${ours}.ts`
  return url.startsWith('node:')
    ? url.split('/').slice(0, 2).join('/')
    : functionName === ''
      ? '(native)'
      : functionName
}
