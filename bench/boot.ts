import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { median, ratiosOf, spread } from './section.js'
import type { Effort, Section } from './section.js'
import { loadTools } from './tools.js'

// The cost of starting and keeping the service: time, processor and memory, compared with a bare Fastify that imports
// the same packages.

interface Contender {
  name: string
  program: string
  args: string[]
  /** The path to request. */
  path: string
  /** Whether it starts in a folder that an earlier start has used. */
  again?: true
}

interface Sample {
  /** Milliseconds from the start of the process to its first response. */
  ms: number
  /** Milliseconds of processor time of all threads until then. */
  cpu: number
  /** Resident memory after an idle period, in MiB. */
  memory: number
}

const peer = (name: string): string => fileURLToPath(new URL(`../../bench/peers/${name}.js`, import.meta.url))
const SERVICE = { program: fileURLToPath(new URL('../cli.js', import.meta.url)), args: ['serve'], path: '/health/live' }

const ALONE: Contender = { name: 'Fastify alone', program: peer('fastify-alone'), args: [], path: '/' }
const IMPORTS: Contender = {
  name: 'Fastify and the same imports',
  program: peer('fastify-imports'),
  args: [],
  path: '/'
}
const SECOND: Contender = { name: 'the service, on its database', ...SERVICE, again: true }
const FIRST: Contender = { name: 'the service, first start', ...SERVICE }
const CONTENDERS = [ALONE, IMPORTS, SECOND, FIRST]

const MOST = 1.5

/** Measures one start after the other, each contender once per round. */
export async function measureBoot ({ rounds, quick }: Effort): Promise<Section> {
  const used = await mkdtemp(join(tmpdir(), 'latchkey-boot-'))
  const samples = new Map(CONTENDERS.map(contender => [contender, [] as Sample[]]))
  try {
    // Not counted: this creates the database and loads all files into the disk cache.
    for (const contender of CONTENDERS) await (await start(contender, used)).stop(0)
    for (let round = 0; round < rounds; round++) {
      // A started contender idles while the next one starts.
      const ended: Array<Promise<void>> = []
      for (const contender of CONTENDERS) {
        const folder = contender.again === true ? used : await mkdtemp(join(tmpdir(), 'latchkey-boot-'))
        const { stop, ...measured } = await start(contender, folder)
        ended.push(stop(quick ? 1_000 : 5_000).then(async memory => {
          samples.get(contender)?.push({ ...measured, memory })
          if (contender.again !== true) await rm(folder, { recursive: true })
        }))
      }
      await Promise.all(ended)
    }
  } finally {
    await rm(used, { recursive: true })
  }
  return describe(samples)
}

/**
 * Starts a program and sends it one request. `stop` waits for the given milliseconds, ends the program, and returns the
 * memory that it held.
 */
async function start (
  { program, args, path }: Contender,
  folder: string
): Promise<Omit<Sample, 'memory'> & { stop: (idle: number) => Promise<number> }> {
  const { pidusage } = await loadTools()
  const began = performance.now()
  const child = spawn(process.execPath, [program, ...args], {
    cwd: folder,
    env: { PATH: process.env.PATH, PORT: '0' },
    stdio: ['ignore', 'pipe', 'inherit']
  })
  try {
    const origin = await originOf(child)
    const response = await fetch(origin + path)
    await response.text()
    const ms = performance.now() - began
    if (response.status !== 200) throw new Error(`${program} answered ${response.status}`)
    const { ctime: cpu } = await pidusage(child.pid ?? 0)
    return {
      ms,
      cpu,
      async stop (idle) {
        await delay(idle)
        const { memory } = await pidusage(child.pid ?? 0)
        await end(child)
        return memory / 2 ** 20
      }
    }
  } catch (error) {
    await end(child)
    throw error
  }
}

/** Reads the origin at which a program says that it listens. */
async function originOf (child: ChildProcess): Promise<string> {
  if (child.stdout === null) throw new Error('The output of the program cannot be read')
  for await (const line of createInterface({ input: child.stdout })) {
    const origin = /listening at (http:\/\/[\d.:]+)/.exec(line)?.[1]
    if (origin !== undefined) {
      child.stdout.resume()
      return origin
    }
  }
  throw new Error('The program ended before it listened')
}

async function end (child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const exit = once(child, 'exit')
  child.kill()
  await exit
}

function describe (samples: ReadonlyMap<Contender, readonly Sample[]>): Section {
  const of = (contender: Contender, key: keyof Sample): number[] =>
    (samples.get(contender) ?? []).map(sample => sample[key])
  function ratios (contender: Contender, base: Contender, key: keyof Sample): number[] {
    return ratiosOf(samples.get(contender) ?? [], samples.get(base) ?? [], sample => sample[key])
  }

  function verdict (target: string, { contender, base, keys, says }: {
    contender: Contender
    base: Contender
    keys: Array<keyof Sample>
    says: (ratios: string[]) => string
  }): Section['verdicts'][number] {
    const all = keys.map(key => ratios(contender, base, key))
    return {
      target: `${target}: at most ${MOST} x`,
      measured: says(all.map(values => spread(values, 2))),
      met: all.every(values => median(values) <= MOST)
    }
  }

  const inTime = ([ms, cpu]: string[]): string => `${ms} x the time, ${cpu} x the processor time`
  return {
    title: 'Start and memory',
    columns: ['ms to the first response', 'x', 'processor ms', 'x', 'MiB, idle', 'x alone'],
    rows: CONTENDERS.map(contender => ({
      name: contender.name,
      cells: [
        spread(of(contender, 'ms')), median(ratios(contender, IMPORTS, 'ms')).toFixed(2),
        spread(of(contender, 'cpu')), median(ratios(contender, IMPORTS, 'cpu')).toFixed(2),
        spread(of(contender, 'memory')), median(ratios(contender, ALONE, 'memory')).toFixed(2)
      ]
    })),
    verdicts: [
      verdict('start on its database, compared with Fastify and the same imports', {
        contender: SECOND, base: IMPORTS, keys: ['ms', 'cpu'], says: inTime
      }),
      verdict('first start, with an empty database: tables, key, administrator', {
        contender: FIRST, base: IMPORTS, keys: ['ms', 'cpu'], says: inTime
      }),
      verdict('resident memory, idle, compared with Fastify alone', {
        contender: SECOND, base: ALONE, keys: ['memory'], says: ([memory]) => `${memory} x`
      })
    ],
    notes: [
      'Cells show the median (min to max) of the rounds, and each ratio is computed within its round. Processor ' +
        'time covers all threads until the first response.',
      'The first start also creates the tables, a key and the first administrator.',
      'About 34 MiB of an idle service are the young generation of V8. It grows while modules are loaded, and V8 ' +
        'releases that memory late or never. Fastify with the same imports has it too, and reaches the limit even ' +
        'without Latchkey. `NODE_OPTIONS=--max-semi-space-size=4` limits it to 8 MiB, and a start then takes about ' +
        '5 % more processor time.'
    ]
  }
}
