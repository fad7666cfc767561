import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'

/** Milliseconds that a contender has to announce itself. */
const START_LIMIT = 30_000

/** Milliseconds that it has to end. */
const STOP_LIMIT = 5_000

/** Characters of its standard error that an error shows. */
const TAIL = 2_000

/** A program and its arguments. */
export type Command = [program: string, ...args: string[]]

/** Of a request, by their names in lower case. */
export type Headers = Record<string, string>

/** A request that logs in with a right password. */
export interface Login {
  method: string
  path: string
  headers: Headers
  body: string
}

/** What a contender says of itself when it is ready: left out is what it has no mechanism for. */
export interface Announcement {
  url: string
  headers: { good: Headers, expired?: Headers, forged?: Headers, revoked?: Headers }
  login?: Login
  /** Of Latchkey: a file of different access tokens, a line each. */
  tokens?: string
  /** Of Latchkey: a file of refresh tokens of different sessions, a line each. */
  refreshTokens?: string
}

/** A contender that is ready. */
export interface RunningContender extends Announcement {
  pid: number
  /** Ends the process, and returns when it is gone. */
  stop (): Promise<void>
}

/**
 * Starts a program that speaks as a contender does: one line of JSON on standard output when it is ready, and it ends with its
 * standard input.
 * @param env - more for its environment.
 * @throws where it ends before, says something else, or says nothing for 30 seconds: with the end of its standard error
 */
export async function startProgram ([program, ...args]: Command, env: NodeJS.ProcessEnv = {}): Promise<RunningContender> {
  const child = spawn(program, args, { env: { ...environment(), ...env }, stdio: 'pipe' })
  let tail = ''
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => { tail = (tail + chunk).slice(-TAIL) })
  child.stdin.on('error', () => {}) // It may have ended before its input does.
  const gone = new Promise<void>(resolve => child.once('close', () => resolve()))

  // Read to its end: a full pipe would stop the contender.
  const lines = createInterface({ input: child.stdout })
  let timer: NodeJS.Timeout | undefined
  try {
    const line = await new Promise<string>((resolve, reject) => {
      timer = setTimeout(() => reject(new Error(`it said nothing for ${START_LIMIT / 1000} seconds`)), START_LIMIT)
      lines.once('line', resolve)
      child.once('error', reject)
      child.once('close', code => reject(new Error(`it ended with ${code} before it was ready`)))
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

/** Without what a test runner or a profiler adds to each Node.js: it would be measured too. */
function environment (): NodeJS.ProcessEnv {
  const { NODE_OPTIONS: _options, NODE_V8_COVERAGE: _coverage, ...env } = process.env
  return { ...env, NODE_ENV: 'production' }
}

function readAnnouncement (line: string): Announcement {
  const announcement = JSON.parse(line) as Announcement
  if (typeof announcement.url !== 'string' || typeof announcement.headers?.good !== 'object') throw new Error(`it announced ${line.slice(0, 200)}`)
  return announcement
}
