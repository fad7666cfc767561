import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'

/** Milliseconds within which a contender must announce itself. Many start at once, and some write a million rows. */
const START_LIMIT = 120_000

/** Milliseconds until it must have ended. */
const STOP_LIMIT = 5_000

/** How many characters of its standard error to include in an error message. */
const TAIL = 2_000

/** A program and its arguments. */
export type Command = [program: string, ...args: string[]]

/** The headers of a request. Names are in lower case. */
export type Headers = Record<string, string>

/** A request that logs in with the correct password. */
export interface Login {
  method: string
  path: string
  headers: Headers
  body: string
}

/** What a contender prints when it is ready. It omits what it has no mechanism for. */
export interface Announcement {
  url: string
  headers: { good: Headers, expired?: Headers, forged?: Headers, revoked?: Headers }
  login?: Login
  /** Latchkey only: the headers of a request with a personal access token. */
  key?: Headers
  /** Latchkey only: a file with different access tokens, one per line. */
  tokens?: string
  /** Latchkey only: a file with refresh tokens of different sessions, one per line. */
  refreshTokens?: string
}

/** A contender that is running. */
export interface RunningContender extends Announcement {
  pid: number
  /** Ends the process. Resolves when it has exited. */
  stop (): Promise<void>
}

/**
 * Starts a contender. A contender prints one line of JSON when it is ready, and exits when its standard input ends.
 * @param env - additional environment variables.
 * @throws if it exits early, prints something else, or prints nothing for two minutes. The message includes the end of
 *   its standard error.
 */
export async function startProgram (
  [program, ...args]: Command,
  env: NodeJS.ProcessEnv = {}
): Promise<RunningContender> {
  const child = spawn(program, args, { env: { ...environment(), ...env }, stdio: 'pipe' })
  let tail = ''
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => { tail = (tail + chunk).slice(-TAIL) })
  child.stdin.on('error', () => {}) // The process may exit before its input is closed.
  const gone = new Promise<void>(resolve => child.once('close', () => resolve()))

  // Read all output, because a full pipe would block the contender.
  const lines = createInterface({ input: child.stdout })
  let timer: NodeJS.Timeout | undefined
  try {
    const line = await new Promise<string>((resolve, reject) => {
      timer = setTimeout(() => reject(new Error(`it printed nothing for ${START_LIMIT / 1000} seconds`)), START_LIMIT)
      lines.once('line', resolve)
      child.once('error', reject)
      child.once('close', code => reject(new Error(`it exited with code ${code} before it was ready`)))
    })
    return { ...readAnnouncement(line), pid: child.pid ?? NaN, stop }
  } catch (error) {
    child.kill('SIGKILL')
    await gone
    throw new Error(`${[program, ...args].join(' ')}: ${(error as Error).message}\n${tail}`, { cause: error })
  } finally {
    clearTimeout(timer)
  }

  async function stop (): Promise<void> {
    child.stdin.end()
    const timer = setTimeout(() => child.kill('SIGKILL'), STOP_LIMIT)
    await gone
    clearTimeout(timer)
  }
}

/** Removes what a test runner or profiler adds to every Node.js process, because it would be measured too. */
function environment (): NodeJS.ProcessEnv {
  const { NODE_OPTIONS: _options, NODE_V8_COVERAGE: _coverage, ...env } = process.env
  return { ...env, NODE_ENV: 'production' }
}

function readAnnouncement (line: string): Announcement {
  const announcement = JSON.parse(line) as Announcement
  if (typeof announcement.url !== 'string' || typeof announcement.headers?.good !== 'object') {
    throw new Error(`it announced ${line.slice(0, 200)}`)
  }
  return announcement
}
