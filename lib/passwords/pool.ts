import { availableParallelism } from 'node:os'
import { Piscina } from 'piscina'
import { createFairQueue } from './fair-queue.js'
import { dummyHash, isSupportedHash, MAX_COST, MIN_COST, needsRehash } from './hash-format.js'
import type { PasswordTask } from './worker.js'

/** How createPasswords() works. */
export interface PasswordOptions {
  /** The bcrypt cost of new hashes, 4 to 20; the work is 2 to the power of it. */
  cost: number
  /** The most threads that hash at the same time. Default: os.availableParallelism(). */
  threads?: number
  /** The most jobs that wait for a thread, 0 or more. Default: 64. */
  maxQueue?: number
}

/** What verify() found. */
export interface Verification {
  /** Whether the password belongs to the hash. */
  valid: boolean
  /** Whether to store a new hash of this password now; never true when `valid` is false. */
  needsRehash: boolean
}

/** Hashes and verifies passwords away from the event loop. */
export interface Passwords {
  /**
   * Makes a hash of the configured cost. Rejects with PasswordQueueFullError, or when closed.
   * @param origin Who asks: when threads are scarce, origins take turns. Default: one for all that name none.
   */
  hash (password: string, origin?: string): Promise<string>
  /**
   * Verifies a password, with at least the work of the configured cost. Without a hash (no such user), or with one that is
   * not supported, it does the same work and finds false. Rejects with PasswordQueueFullError, or when closed. `origin` as above.
   */
  verify (password: string, hash: string | undefined, origin?: string): Promise<Verification>
  /** How many jobs wait for a thread. */
  readonly queueSize: number
  /** Refuses the jobs that wait, lets those that run finish, then ends the threads. */
  close (): Promise<void>
}

/** Thrown when too many jobs wait. Answer 503 with Retry-After: the caller did nothing wrong. */
export class PasswordQueueFullError extends Error {
  readonly code = 'PASSWORD_QUEUE_FULL'
  override readonly name = 'PasswordQueueFullError'

  constructor () {
    super('Too many passwords are waiting to be hashed.')
  }
}

interface Job {
  task: PasswordTask
  resolve: (answer: string | boolean) => void
  reject: (error: unknown) => void
}

/** An idle thread ends after this many milliseconds (30 seconds). */
const IDLE_TIMEOUT = 30_000

function requireInteger (name: string, value: number, min: number, max: number): void {
  if (Number.isInteger(value) && value >= min && value <= max) return
  throw new RangeError(`passwords: "${name}" must be an integer from ${min} to ${max}.`)
}

function closedError (): Error {
  return new Error('The password threads are closed.')
}

interface Threads {
  run: (task: PasswordTask) => Promise<string | boolean>
  end: () => Promise<void>
}

function createThreads (maxThreads: number): Threads {
  const pool = new Piscina<PasswordTask, string | boolean>({
    filename: new URL('./worker.js', import.meta.url).href,
    minThreads: 0,
    maxThreads,
    idleTimeout: IDLE_TIMEOUT,
    recordTiming: false,
    // What the host preloads (a loader, an agent that traces) would start once more in every thread, and has no work here. It
    // comes by the environment too (NODE_OPTIONS), of which a thread needs nothing, least of all the secrets in it.
    execArgv: [],
    env: {}
  })
  let ready = Promise.resolve()

  // A thread that dies while it starts holds no job yet. Piscina leaves the job that it was started for unanswered, and an
  // 'error' event that nobody hears ends the process. So: tell the operator, end all threads (which rejects that job),
  // and keep the next job until this is done.
  pool.on('error', function warn (error: Error) {
    process.emitWarning(error)
  })
  pool.on('workerDestroy', function rescueJobs () {
    setImmediate(function endIfStranded () {
      if (pool.queueSize > 0) ready = pool.destroy()
    })
  })

  async function run (task: PasswordTask): Promise<string | boolean> {
    await ready
    return await pool.run(task)
  }

  async function end (): Promise<void> {
    await pool.destroy()
  }

  return { run, end }
}

/**
 * Starts the password service. No thread starts before the first job; idle threads end after about 30 seconds.
 *
 * A job, once started, is never cancelled: it answers with the truth or rejects. A thread that crashes rejects its own job
 * only. Of the jobs that wait, each origin's are served in turn; in a full queue the newest of the origin that has most is
 * rejected for one of another: whoever floods the queue finds it full, and nobody else does.
 *
 * @param options See PasswordOptions.
 * @throws RangeError for an option out of its bounds.
 */
export function createPasswords (options: PasswordOptions): Passwords {
  const { cost, threads: maxThreads = availableParallelism(), maxQueue = 64 } = options
  requireInteger('cost', cost, MIN_COST, MAX_COST)
  requireInteger('threads', maxThreads, 1, 1024)
  requireInteger('maxQueue', maxQueue, 0, 1_000_000)

  const threads = createThreads(maxThreads)
  const dummy = dummyHash(cost)
  const running = new Set<Promise<void>>()
  // The queue is kept here, not in piscina: when a thread crashes there, jobs wait until somebody submits another one.
  const waiting = createFairQueue<Job>(maxQueue)
  let closed = false

  function start (job: Job): void {
    const done = threads.run(job.task).then(job.resolve, job.reject).then(function startNext () {
      running.delete(done)
      const next = waiting.take()
      if (next !== undefined) start(next)
    })
    running.add(done)
  }

  function submit (task: PasswordTask, origin = ''): Promise<string | boolean> {
    return new Promise(function enqueue (resolve, reject) {
      const job = { task, resolve, reject }
      if (closed) reject(closedError())
      else if (running.size < maxThreads) start(job)
      else waiting.add(origin, job)?.reject(new PasswordQueueFullError())
    })
  }

  async function hash (password: string, origin?: string): Promise<string> {
    return await submit({ kind: 'hash', password, cost }, origin) as string
  }

  async function verify (password: string, hash: string | undefined, origin?: string): Promise<Verification> {
    const known = hash !== undefined && isSupportedHash(hash)
    const target = known ? hash : dummy
    const matches = await submit({ kind: 'verify', password, hash: target, cost }, origin)
    const valid = known && matches === true
    return { valid, needsRehash: valid && needsRehash(target, cost) }
  }

  async function close (): Promise<void> {
    closed = true
    for (const job of waiting.clear()) job.reject(closedError())
    await Promise.all(running)
    await threads.end()
  }

  return { hash, verify, get queueSize () { return waiting.size }, close }
}
