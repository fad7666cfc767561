import { Piscina } from 'piscina'
import { createFairQueue } from './fair-queue.js'

/** Thrown when too many jobs wait. Answer 503 with Retry-After: the caller did nothing wrong. */
export class PasswordQueueFullError extends Error {
  readonly code = 'PASSWORD_QUEUE_FULL'
  override readonly name = 'PasswordQueueFullError'

  constructor () {
    super('Too many passwords are waiting to be hashed.')
  }
}

/** Who asks for a task. */
export interface Caller {
  /** When threads are scarce, origins take turns. Default: one for all that name none. */
  origin?: string
  /** Has not proved an identity. Anyone can send such requests from many addresses, so they wait in another queue. */
  isAnonymous?: boolean
}

/** Threads that do one kind of work, and a bounded queue before them. */
export interface Workers<Task, Answer> {
  /** Does one task. Rejects with PasswordQueueFullError, or when closed. Default: the host or the command line asks. */
  run (task: Task, caller?: Caller): Promise<Answer>
  /** How many tasks wait for a thread. */
  readonly queueSize: number
  /** Rejects waiting tasks, lets running tasks finish, then ends the threads. */
  close (): Promise<void>
}

interface Job<Task, Answer> {
  task: Task
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
    // What the host preloads (a loader, an agent that traces) would start once more in every thread, and has no work
    // here. It comes by the environment too (NODE_OPTIONS), of which a thread needs nothing, least of all the secrets
    // in it.
    execArgv: [],
    env: {}
  })
  let ready = Promise.resolve()

  // A thread that dies while it starts holds no job yet. Piscina leaves the job that it was started for unanswered, and
  // an 'error' event that nobody hears ends the process. So: tell the operator, end all threads (which rejects that
  // job), and keep the next job until this is done.
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
 * Starts no thread before the first task; idle threads end after about 30 seconds.
 *
 * A task, once started, is never cancelled: it answers with the truth or rejects. A thread that crashes rejects its own
 * task only. Each origin's tasks are served in turn. In a full queue the newest task of the origin that has most makes
 * room for one of another origin, so only an origin that floods the queue finds it full. Anonymous callers have a queue
 * of their own, of the same length, and the two queues take turns. So neither can fill the other or starve it.
 *
 * @param file The name of the module that does the work, in this folder.
 */
export function createWorkers<Task, Answer> (
  { file, maxThreads, maxQueue }: { file: string, maxThreads: number, maxQueue: number }
): Workers<Task, Answer> {
  const threads = createThreads<Task, Answer>(new URL(`./${file}`, import.meta.url).href, maxThreads)
  const running = new Set<Promise<void>>()
  // The queue is kept here, not in piscina: when a thread crashes there, jobs wait until somebody submits another one.
  const known = createFairQueue<Job<Task, Answer>>(maxQueue)
  const anonymous = createFairQueue<Job<Task, Answer>>(maxQueue)
  let turns = [known, anonymous]
  let closed = false

  function takeNext (): Job<Task, Answer> | undefined {
    const [first = known, second = anonymous] = turns
    turns = [second, first]
    return first.take() ?? second.take()
  }

  function start (job: Job<Task, Answer>): void {
    const done = threads.run(job.task).then(job.resolve, job.reject).then(function startNext () {
      running.delete(done)
      const next = takeNext()
      if (next !== undefined) start(next)
    })
    running.add(done)
  }

  function run (task: Task, { origin = '', isAnonymous = false }: Caller = {}): Promise<Answer> {
    return new Promise(function enqueue (resolve, reject) {
      const job = { task, resolve, reject }
      if (closed) reject(closedError())
      else if (running.size < maxThreads) start(job)
      else (isAnonymous ? anonymous : known).add(origin, job)?.reject(new PasswordQueueFullError())
    })
  }

  async function close (): Promise<void> {
    closed = true
    for (const job of [...known.clear(), ...anonymous.clear()]) job.reject(closedError())
    await Promise.all(running)
    await threads.end()
  }

  return { run, get queueSize () { return known.size + anonymous.size }, close }
}
