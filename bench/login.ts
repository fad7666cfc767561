import { spawn } from 'node:child_process'
import { availableParallelism, constants, setPriority } from 'node:os'
import { setTimeout as delay } from 'node:timers/promises'
import { compareSync, hashSync } from 'bcryptjs'
import { runStorm, startStorm } from './clients.js'
import type { Storm } from './clients.js'
import { listContenders, startContender } from './contenders.js'
import type { Login, RunningContender } from './contenders.js'
import { probe } from './probe.js'
import type { Waits } from './probe.js'
import { profile } from './profile.js'
import { median, spread } from './section.js'
import type { Effort, Section } from './section.js'

/** Clients that log in without a pause. */
const CLIENTS = 8

const COST = 10
const MOST_WAIT = 2
const MOST_STALL = 20
const LEAST_RATE = 0.95

/** The contenders to compare. Each hashes passwords in a different way. */
const CONTENDERS = ['latchkey', 'fastify-jwt-hs256', 'better-auth', 'fastapi']

interface Round {
  quiet: Waits
  stormy: Waits
  /** Logins while protected requests arrive. */
  beside: Storm
  /** Logins without other requests. Latchkey only. */
  alone: Storm | undefined
}

/** The longest blocks of the event loop, in milliseconds. */
interface Stalls {
  idle: number
  stormy: number
}

/**
 * How long requests wait at a server that hashes nothing: alone, and next to low-priority programs that only compute.
 */
interface Floor {
  quiet: Waits
  beside: Waits
}

/** Measures how much logins delay protected requests, and the rate of logins. */
export async function measureLogin ({ rounds, seconds, quick }: Effort): Promise<Section> {
  const running = new Map<string, { contender: RunningContender, login: Login, rounds: Round[] }>()
  const skipped: Section['rows'] = []
  const single: number[] = []
  const stalls: Stalls[] = []
  const floor: Floor[] = []
  const bare = await startContender('fastify')
  try {
    for (const { name, title, reason } of await listContenders()) {
      if (!(quick ? CONTENDERS.slice(0, 1) : CONTENDERS).includes(name)) continue
      if (reason !== undefined) {
        skipped.push({ name: title, cells: [`skipped: ${reason}`] })
        continue
      }
      const contender = await startContender(name, name === 'latchkey' ? ['--cost', String(COST), '--stalls'] : [])
      if (contender.login === undefined) throw new Error(`${title} has no login`)
      running.set(title, { contender, login: contender.login, rounds: [] })
      await runStorm({ kind: 'login', urls: [contender.url], logins: [contender.login] }, CLIENTS, 500)
    }
    const [own] = [...running.values()]
    for (let round = 0; round < rounds; round++) {
      for (const each of running.values()) each.rounds.push(await measureRound(each, { seconds, isOwn: each === own }))
      if (own !== undefined) stalls.push(await measureStalls(own.contender, own.login, seconds))
      floor.push(await measureFloor(bare, seconds))
      single.push(hashRate(seconds))
    }
  } finally {
    await bare.stop()
    for (const { contender } of running.values()) await contender.stop()
  }
  const contenders = new Map([...running].map(([title, { rounds }]) => [title, rounds]))
  return await describe({ contenders, single, stalls, floor }, { skipped, quick })
}

/**
 * The other contenders are measured for a shorter time, because their results are clear. One of them needs ten times
 * the requested time to respond.
 */
async function measureRound (
  { contender: { url, headers }, login }: { contender: RunningContender, login: Login },
  { seconds, isOwn }: { seconds: number, isOwn: boolean }
): Promise<Round> {
  const probed = { url, headers: headers.good, seconds: isOwn ? 4 * seconds : seconds / 2 }
  const task = { kind: 'login' as const, urls: [url], logins: [login] }
  const quiet = await probe(probed)
  const storm = startStorm(task, CLIENTS)
  const stormy = await probe(probed)
  return {
    quiet,
    stormy,
    beside: await storm.stop(),
    alone: isOwn ? await runStorm(task, CLIENTS, 2_000 * seconds) : undefined
  }
}

/**
 * Measures how much of the wait the scheduler causes: one program per core computes, with the priority of Latchkey's
 * hashing.
 */
async function measureFloor ({ url, headers }: RunningContender, seconds: number): Promise<Floor> {
  const probed = { url, headers: headers.good, seconds: 2 * seconds }
  const quiet = await probe(probed)
  const programs = Array.from({ length: availableParallelism() }, () =>
    spawn(process.execPath, ['-e', 'for (;;);'], { stdio: 'ignore' })
  )
  try {
    for (const { pid } of programs) if (pid !== undefined) setPriority(pid, constants.priority.PRIORITY_BELOW_NORMAL)
    return { quiet, beside: await probe(probed) }
  } finally {
    for (const program of programs) program.kill('SIGKILL')
  }
}

/**
 * Measures the blocks of the event loop, first in an idle server, which shows those of the machine, then during logins
 * only.
 */
async function measureStalls ({ url }: RunningContender, login: Login, seconds: number): Promise<Stalls> {
  await longestStall(url)
  await delay(seconds * 1_000)
  const idle = await longestStall(url)
  await runStorm({ kind: 'login', urls: [url], logins: [login] }, CLIENTS, seconds * 1_000)
  return { idle, stormy: await longestStall(url) }
}

/** Reads the longest block of the event loop since the previous call, in milliseconds. */
async function longestStall (url: string): Promise<number> {
  return Number(await (await fetch(`${url}/stalls`)).text())
}

/** How many passwords bcryptjs checks per second, in one thread without other work. */
function hashRate (seconds: number): number {
  const hash = hashSync('marble otter sings at noon', COST)
  let count = 0
  const begun = performance.now()
  while (performance.now() - begun < seconds * 1_000) {
    compareSync('marble otter sings at noon', hash)
    count++
  }
  return count / ((performance.now() - begun) / 1_000)
}

/** The measurements of all rounds. */
interface Measured {
  contenders: ReadonlyMap<string, readonly Round[]>
  /** The rates of bcryptjs in one thread. */
  single: number[]
  stalls: Stalls[]
  floor: Floor[]
}

async function describe (
  measured: Measured,
  { skipped, quick }: { skipped: Section['rows'], quick: boolean }
): Promise<Section> {
  const verdicts = toVerdicts(measured)
  return {
    title: 'Logins',
    columns: [
      'quiet p99 ms', 'p99 ms while 8 log in', 'max ms while 8 log in', 'logins/s with requests', 'logins/s alone'
    ],
    rows: [...toRows(measured), ...skipped],
    verdicts,
    notes: [
      'In the row before the last, no client logs in. Instead, programs with the low priority of the hashing ' +
        'threads compute beside a server that checks nothing. Its requests wait only until the scheduler of the ' +
        'system gives a core back. No server can wait less.',
      'Protected requests arrive at a steady 200 per second, whether or not the earlier ones were answered. All ' +
        'except better-auth (scrypt) hash with bcrypt at cost 10. FastAPI uses a native bcrypt in C.',
      'The measuring programs run on the same machine. With few cores they take some of the time that hashing ' +
        'could use. A login commits twice, and the event loop blocks while the disk writes.',
      ...quick || verdicts.every(({ met }) => met)
        ? []
        : [
            await profile(
              'Where the time of the event loop goes while 8 clients log in',
              ['--cost', String(COST)],
              async ({ url, login }) => {
                if (login !== undefined) await runStorm({ kind: 'login', urls: [url], logins: [login] }, CLIENTS, 4_000)
              }
            )
          ]
    ]
  }
}

function toVerdicts ({ contenders, single, stalls }: Measured): Section['verdicts'] {
  const own = [...contenders.values()][0] ?? []
  const cores = availableParallelism()
  const wait = own.map(({ quiet, stormy }) => stormy.p99 / quiet.p99)
  const rate = own.map(({ alone }, round) => (alone?.rate ?? NaN) / ((single[round] ?? NaN) * cores))
  const longest = stalls.map(({ stormy }) => stormy)
  const idle = stalls.map(({ idle }) => idle)
  return [
    {
      target: `p99 of protected requests while ${CLIENTS} clients log in: ` +
        `at most ${MOST_WAIT} x the p99 without logins`,
      measured: `${spread(wait, 1)} x`,
      met: median(wait) <= MOST_WAIT
    },
    {
      target: `while they log in, the event loop never blocks for more than ${MOST_STALL} ms`,
      measured: `longest of a round ${spread(longest, 1)} ms; idle ${spread(idle, 1)} ms`,
      met: Math.max(...longest) <= MOST_STALL
    },
    {
      target: `logins: at least ${LEAST_RATE} of ${cores} cores x bcryptjs in one thread`,
      measured: spread(rate, 2),
      met: median(rate) >= LEAST_RATE
    }
  ]
}

function toRows ({ contenders, single, floor }: Measured): Section['rows'] {
  return [
    ...[...contenders].map(([name, rounds]) => ({
      name,
      cells: [
        spread(rounds.map(({ quiet }) => quiet.p99), 1),
        spread(rounds.map(({ stormy }) => stormy.p99), 1),
        spread(rounds.map(({ stormy }) => stormy.max)),
        spread(rounds.map(({ beside }) => beside.rate), 1),
        rounds.some(({ alone }) => alone === undefined) ? '' : spread(rounds.map(({ alone }) => alone?.rate ?? NaN), 1)
      ]
    })),
    {
      name: `Fastify alone, beside ${availableParallelism()} programs of low priority`,
      cells: [
        spread(floor.map(({ quiet }) => quiet.p99), 1),
        spread(floor.map(({ beside }) => beside.p99), 1),
        spread(floor.map(({ beside }) => beside.max)),
        '',
        ''
      ]
    },
    { name: `bcryptjs in one thread, cost ${COST}`, cells: ['', '', '', '', spread(single, 1)] }
  ]
}
