import { execFile } from 'node:child_process'
import { mkdtemp, open, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { compile, source } from './c-programs.js'
import { runStorm, startStorm } from './clients.js'
import type { Storm } from './clients.js'
import { startContender } from './contenders.js'
import type { RunningContender } from './contenders.js'
import { readCpu } from './load.js'
import { probe } from './probe.js'
import type { Waits } from './probe.js'
import { profile } from './profile.js'
import { median, ratiosOf, spread } from './section.js'
import type { Effort, Section } from './section.js'

const run = promisify(execFile)

const CLIENTS = [1, 8, 32]

/** The number of clients that refresh while protected requests are measured. */
const BESIDE = 8

/** The additional delay of each fsync on the slow disk, in milliseconds. */
const PAUSE = 5

const LEAST_RATE = 0.7

interface Refreshed extends Storm {
  /** Milliseconds of processor time per refresh. */
  cpu: number
  /** How many refreshes one fsync made durable. Undefined if fsyncs cannot be counted. */
  perSync: number | undefined
}

interface Beside {
  quiet: Waits
  stormy: Waits
  storm: Storm
}

interface Disk {
  name: string
  contender: RunningContender
  countSyncs: () => Promise<number | undefined>
  refreshed: Map<number, Refreshed[]>
  beside: Beside[]
}

/** Measures how many sessions are refreshed durably per second, and how much that delays protected requests. */
export async function measureRefresh ({ rounds, seconds, quick }: Effort): Promise<Section> {
  const folder = await mkdtemp(join(tmpdir(), 'latchkey-refresh-'))
  const disks: Disk[] = []
  const loop: number[] = []
  try {
    const output = join(folder, 'slow-fsync.so')
    const shim = await compile('slow-fsync.c', { output, flags: ['-shared', '-fPIC', '-ldl'] })
    disks.push(await startOn('this disk', { folder, shim, pause: 0 }))
    if (shim !== undefined && !quick) {
      disks.push(await startOn(`a disk that takes ${PAUSE} ms longer`, { folder, shim, pause: PAUSE }))
    }
    // Not counted: the program is slower until V8 has compiled it.
    for (const { contender: { url, refreshTokens = '' } } of disks) {
      await runStorm({ kind: 'refresh', urls: [url], refreshTokens }, Math.max(...CLIENTS), 2_000 * seconds)
    }
    for (let round = 0; round < rounds; round++) {
      loop.push(Number((await run(process.execPath, [source('peers/commit-and-sign.js'), String(seconds)])).stdout))
      for (const disk of disks) await measureRound(disk, seconds)
    }
  } finally {
    for (const { contender } of disks) await contender.stop()
    await rm(folder, { recursive: true })
  }
  return await describe(disks, loop, quick)
}

async function startOn (
  name: string,
  { folder, shim, pause }: { folder: string, shim: string | undefined, pause: number }
): Promise<Disk> {
  const counter = join(folder, `syncs-${pause}`)
  const file = await open(counter, 'w')
  await file.write(Buffer.alloc(8))
  await file.close()
  const env = shim === undefined ? {} : { LD_PRELOAD: shim, SLOW_FSYNC_US: String(pause * 1_000), COUNT_FSYNC: counter }
  const contender = await startContender('latchkey', ['--users', String(Math.max(...CLIENTS)), '--cost', '4'], env)
  return {
    name,
    contender,
    countSyncs: async () => shim === undefined ? undefined : Number((await readFile(counter)).readBigInt64LE()),
    refreshed: new Map(CLIENTS.map(clients => [clients, []])),
    beside: []
  }
}

async function measureRound ({ contender, countSyncs, refreshed, beside }: Disk, seconds: number): Promise<void> {
  const { pid, url, headers, refreshTokens = '' } = contender
  const task = { kind: 'refresh' as const, urls: [url], refreshTokens }
  for (const [clients, runs] of refreshed) {
    const [cpu, syncs] = [await readCpu(pid), await countSyncs()]
    const storm = await runStorm(task, clients, seconds * 1_000)
    const after = await countSyncs()
    runs.push({
      ...storm,
      cpu: ((await readCpu(pid)) - cpu) / storm.count,
      perSync: syncs === undefined || after === undefined ? undefined : storm.count / (after - syncs)
    })
  }
  const probed = { url, headers: headers.good, seconds: 2 * seconds }
  const quiet = await probe(probed)
  const storm = startStorm(task, BESIDE)
  const stormy = await probe(probed)
  beside.push({ quiet, stormy, storm: await storm.stop() })
}

async function describe (disks: readonly Disk[], loop: number[], quick: boolean): Promise<Section> {
  const [here] = disks as [Disk]
  const bare = loop.map(rate => ({ rate }))
  const toLoop = (runs: readonly Storm[]): number[] => ratiosOf<{ rate: number }>(runs, bare, ({ rate }) => rate)
  const rates = CLIENTS.map(clients => toLoop(here.refreshed.get(clients) ?? []))
  const best = rates.reduce((one, other) => median(one) >= median(other) ? one : other)
  const grouped = here.refreshed.get(Math.max(...CLIENTS))?.map(({ perSync }) => perSync ?? NaN) ?? []
  const verdicts = [
    {
      target: `refreshes: at least ${LEAST_RATE} of a bare loop that commits one row and signs one token`,
      measured: `${spread(best, 2)} (${CLIENTS.map((clients, at) => `${clients} ${clients === 1
        ? 'client'
        : 'clients'}: ${spread(rates[at] ?? [], 2)}`).join('; ')})`,
      met: median(best) >= LEAST_RATE
    },
    {
      target: 'under load, more than one refresh per fsync',
      measured: Number.isNaN(median(grouped)) ? 'not counted here' : spread(grouped, 1),
      met: median(grouped) > 1
    }
  ]
  return {
    title: 'Refreshes',
    columns: [
      'refreshes/s', 'x the bare loop', 'processor µs', 'per fsync', 'p50 ms', 'p99 ms', 'protected p99 ms, quiet',
      'while 8 refresh', 'max'
    ],
    rows: [
      { name: 'the bare loop, no server', cells: [spread(loop), '1', '', '1', '', '', '', '', ''] },
      ...disks.flatMap(({ name, refreshed, beside }) => [...refreshed].map(([clients, runs]) => ({
        name: `${name}, ${clients} ${clients === 1 ? 'client' : 'clients'}`,
        cells: [
          spread(runs.map(({ rate }) => rate)),
          median(toLoop(runs)).toFixed(2),
          spread(runs.map(({ cpu }) => cpu * 1_000)),
          runs.every(({ perSync }) => perSync !== undefined)
            ? median(runs.map((
              { perSync }
            ) => perSync ?? NaN)).toFixed(1)
            : '',
          median(runs.map(({ p50 }) => p50)).toFixed(1),
          median(runs.map(({ p99 }) => p99)).toFixed(1),
          ...clients === BESIDE
            ? [
                spread(beside.map(({ quiet }) => quiet.p99), 1),
                spread(beside.map(({ stormy }) => stormy.p99), 1),
                spread(beside.map(({ stormy }) => stormy.max), 1)
              ]
            : ['', '', '']
        ]
      })))
    ],
    verdicts,
    notes: [
      'SQLite runs with `synchronous = FULL`, so every response comes after its commit is on the disk. Each ' +
        'client has one refresh in progress. A refresh writes the row of the session. The bare ' +
        'loop is not a server and receives no requests.',
      disks.length > 1
        ? 'The slow disk is the same disk, with a library that delays each fsync (bench/slow-fsync.c).'
        : 'The slow disk was not measured. It needs Linux, a C compiler (cc), and a run without --quick.',
      ...quick || verdicts.every(({ met }) => met)
        ? []
        : [
            await profile(
              'Where the processor time goes while 8 clients refresh',
              ['--users', '8', '--cost', '4'],
              ({ url, refreshTokens = '' }) => runStorm({ kind: 'refresh', urls: [url], refreshTokens }, 8, 3_000)
            )
          ]
    ]
  }
}
