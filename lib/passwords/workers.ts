import { existsSync } from 'node:fs'
import { Piscina } from 'piscina'
import { createFairQueue } from './fair-queue.js'

/** Thrown if too many jobs wait. Answer 503 with Retry-After, because the caller did nothing wrong. */
export class PasswordQueueFullError extends Error {
  readonly code = 'PASSWORD_QUEUE_FULL'
  override readonly name = 'PasswordQueueFullError'

  constructor () {
    super('Too many passwords are waiting to be hashed.')
  }
}

/** Who a task is for. */
export interface Caller {
  /** Origins take turns when threads are scarce. Default: one origin for all callers that name none. */
  origin?: string
  /**
   * The caller has not proved an identity. Anyone can send such requests from many addresses, so they wait in a queue
   * of their own.
   */
  isAnonymous?: boolean
}

/** Threads that do one kind of work, with a bounded queue in front of them. */
export interface Workers<Task, Answer> {
  /**
   * Does one task. Rejects with PasswordQueueFullError, or when closed. Default caller: the host or the command line.
   */
  run (task: Task, caller?: Caller): Promise<Answer>
  /** How many tasks wait for a thread. */
  readonly queueSize: number
  /** Rejects waiting tasks, lets running tasks finish, then ends the threads. */
  close (): Promise<void>
}

interface Job<Task, Answer> {
  task: Task
  /** The bytes that it holds while it runs. */
  bytes: number
  resolve: (answer: Answer) => void
  reject: (error: unknown) => void
}

/** An idle thread ends after this many milliseconds (30 seconds). */
const IDLE_TIMEOUT = 30_000

function closedError (): Error {
  return new Error('The password threads are closed.')
}

interface Threads<Task, Answer> {
  run: (task: Task) => Promise<Answer>
  end: () => Promise<void>
}

function createThreads<Task, Answer> (filename: string, maxThreads: number): Threads<Task, Answer> {
  const pool = new Piscina<Task, Answer>({
    filename,
    minThreads: 0,
    maxThreads,
    idleTimeout: IDLE_TIMEOUT,
    recordTiming: false,
    // Whatever the host preloads, such as a loader or a tracing agent, would start again in every thread and has no
    // work there. The environment can preload it too (NODE_OPTIONS). A thread needs nothing from the environment, least
    // of all its secrets.
    execArgv: [],
    env: {}
  })
  let ready = Promise.resolve()

  // A thread that dies while it starts holds no job yet. Piscina never answers the job that it was started for, and an
  // 'error' event without a listener ends the process. So this warns the operator, ends all threads (which rejects that
  // job), and holds the next job until that is done.
  pool.on('error', function warn (error: Error) {
    process.emitWarning(error)
  })
  pool.on('workerDestroy', function rescueJobs () {
    setImmediate(function endIfStranded () {
      if (pool.queueSize > 0) ready = pool.destroy()
    })
  })

  async function run (task: Task): Promise<Answer> {
    await ready
    return await pool.run(task)
  }

  async function end (): Promise<void> {
    await pool.destroy()
  }

  return { run, end }
}

/**
 * Throws if a thread could not find its files, or their imports. Without this check, the boot would succeed and the
 * first login would fail.
 */
export function assertThreadsCanStart (): void {
  if (isBundled()) {
    throw new Error(
      'fastify-latchkey cannot run from inside a bundle, because it starts threads from its own files. Exclude it ' +
      `from the bundle, for example with esbuild --external:fastify-latchkey. ${SEE}`
    )
  }
  // Its loader is in NODE_OPTIONS, which the threads do not get.
  if (process.versions.pnp !== undefined) {
    throw new Error(
      "fastify-latchkey cannot start its threads under Yarn Plug'n'Play. Set `nodeLinker: node-modules` in " +
      `.yarnrc.yml, and run \`yarn install\` again. ${SEE}`
    )
  }
}

const SEE = 'See docs/bundlers-and-package-managers.md of this package.'

/** Bundlers leave `import.meta.url` undefined, or set it to the bundle's URL or to this file's on another machine. */
function isBundled (): boolean {
  const url = import.meta.url as string | undefined
  return url?.endsWith('/lib/passwords/workers.js') !== true || !existsSync(new URL(url))
}

/**
 * Creates workers. They start no thread before the first task.
 *
 * A task that has started is never cancelled: it resolves with its true answer or rejects. A thread that crashes
 * rejects only its own task. Origins take turns. In a full queue, the newest task of the origin that has the most makes
 * room for one of another origin, so only an origin that floods the queue finds it full. Anonymous callers have a queue
 * of their own, of the same length, and the two queues take turns. So neither can fill the other or starve it.
 *
 * @param url The module that does the work.
 * @param memory The bytes that a task holds while it runs, and the most that all running tasks together may hold. A
 * task that needs more than is left waits, and those behind it wait too, so that it gets its turn. Default: no limit.
 */
export function createWorkers<Task, Answer> ({ url, maxThreads, maxQueue, memory }: {
  url: URL
  maxThreads: number
  maxQueue: number
  memory?: { of: (task: Task) => number, max: number }
}): Workers<Task, Answer> {
  const threads = createThreads<Task, Answer>(url.href, maxThreads)
  const running = new Set<Promise<void>>()
  // The queue is here and not in piscina. After a crash, jobs that wait in piscina stay there until another one
  // arrives.
  const known = createFairQueue<Job<Task, Answer>>(maxQueue)
  const anonymous = createFairQueue<Job<Task, Answer>>(maxQueue)
  let turns = [known, anonymous]
  let closed = false
  let bytes = 0
  /** The next job, if only memory keeps it from running. */
  let next: Job<Task, Answer> | undefined

  function takeNext (): Job<Task, Answer> | undefined {
    const [first = known, second = anonymous] = turns
    turns = [second, first]
    return first.take() ?? second.take()
  }

  function fits (job: Job<Task, Answer>): boolean {
    return bytes === 0 || bytes + job.bytes <= (memory?.max ?? Infinity)
  }

  function start (job: Job<Task, Answer>): void {
    bytes += job.bytes
    const done = threads.run(job.task).then(job.resolve, job.reject).then(function finish () {
      bytes -= job.bytes
      running.delete(done)
      startWaiting()
    })
    running.add(done)
  }

  function startWaiting (): void {
    while (running.size < maxThreads) {
      next ??= takeNext()
      if (next === undefined || !fits(next)) return
      start(next)
      next = undefined
    }
  }

  function run (task: Task, { origin = '', isAnonymous = false }: Caller = {}): Promise<Answer> {
    return new Promise(function enqueue (resolve, reject) {
      const job = { task, bytes: memory?.of(task) ?? 0, resolve, reject }
      if (closed) reject(closedError())
      else if (running.size < maxThreads && next === undefined && fits(job)) start(job)
      else (isAnonymous ? anonymous : known).add(origin, job)?.reject(new PasswordQueueFullError())
    })
  }

  async function close (): Promise<void> {
    closed = true
    for (const job of [next, ...known.clear(), ...anonymous.clear()]) job?.reject(closedError())
    next = undefined
    await Promise.all(running)
    await threads.end()
  }

  return { run, get queueSize () { return known.size + anonymous.size + (next === undefined ? 0 : 1) }, close }
}
