import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { setImmediate as nextTurn, setTimeout as delay } from 'node:timers/promises'
import type { Test } from 'tap'
import { CLI, environment } from '../commands/support.js'
import { bearer, PASSWORD } from '../helper.js'
import type { TokenBody } from '../helper.js'

/** The service as a process of its own. */
export interface Service {
  readonly url: string
  readonly pid: number
  /** All that it has printed so far. */
  readonly output: string
  readonly errors: string
  /** Resolves when the output matches; rejects when the service ends without. */
  printed (pattern: RegExp): Promise<RegExpMatchArray>
  /** Sends the signal to this process and to no other. */
  kill (signal: NodeJS.Signals): void
  /** The exit code: null after a signal that it could not handle. */
  readonly exited: Promise<number | null>
  readonly hasExited: boolean
}

export interface Launch {
  env?: Record<string, string>
  nodeArgs?: string[]
  /** A command that becomes the service, such as `setpriv --reuid=65534`. */
  prefix?: string[]
  /** Of the command line. */
  args?: string[]
}

/**
 * Becomes the command behind it, in the same process. tap hooks into every process that is spawned, whatever
 * environment it is given: what it preloads triples the time of a start, writes into folders, and ends a process that
 * meets its file size limit.
 */
const UNHOOKED = process.platform === 'win32' ? [] : ['env', '-u', 'NODE_OPTIONS']

/**
 * What makes the service quick here, and lets a test make accounts. The long lifetimes: what is refused was revoked,
 * not late.
 */
const DEFAULTS = {
  LATCHKEY_BCRYPT_COST: '4',
  LATCHKEY_RATE_LIMIT: 'false',
  LATCHKEY_REGISTRATION: 'true',
  LATCHKEY_ACCESS_TOKEN_TTL: '1d',
  LATCHKEY_REFRESH_GRACE: '5m'
}

/** Starts the service in `directory` without waiting for it. It is killed when the test ends, should it still run. */
export function launch (
  t: Test, directory: string, { env = {}, nodeArgs = [], prefix = [], args = ['serve'] }: Launch = {}
): Omit<Service, 'url'> {
  const [command = '', ...rest] = [...UNHOOKED, ...prefix, process.execPath, ...nodeArgs, CLI, ...args]
  const child: ChildProcess = spawn(
    command, rest, { cwd: directory, env: environment({ ...DEFAULTS, ...env }), stdio: ['ignore', 'pipe', 'pipe'] }
  )
  let output = ''
  let errors = ''
  let hasExited = false
  const watchers = new Set<() => void>()
  const exited = new Promise<number | null>((resolve, reject) => {
    child.on('error', reject)
    child.on('close', code => {
      hasExited = true
      resolve(code)
    })
  })
  child.stderr?.on('data', chunk => { errors += chunk })
  child.stdout?.on('data', chunk => {
    output += chunk
    for (const look of watchers) look()
  })
  function kill (signal: NodeJS.Signals): void {
    if (!hasExited) child.kill(signal)
  }
  t.teardown(async () => {
    kill('SIGKILL')
    await exited
  })
  return {
    pid: child.pid ?? 0,
    get output () { return output },
    get errors () { return errors },
    get hasExited () { return hasExited },
    exited,
    kill,
    async printed (pattern) {
      let look = (): void => {}
      const found = new Promise<RegExpMatchArray>(resolve => {
        look = () => {
          const match = pattern.exec(output)
          if (match !== null) resolve(match)
        }
      })
      watchers.add(look)
      look()
      try {
        return await Promise.race([
          found, exited.then(code => { throw new Error(`The service ended with ${code}: ${output}${errors}`) })
        ])
      } finally {
        watchers.delete(look)
      }
    }
  }
}

/** Starts the service in `directory`, and waits until it listens. */
export async function serve (t: Test, directory: string, options: Launch = {}): Promise<Service> {
  const service = launch(t, directory, options)
  const [, url = ''] = await service.printed(/Server listening at (http:[^"]+)"/)
  return Object.defineProperty(service, 'url', { value: url }) as Service
}

/** Ends the service as its user would. */
export async function stop (service: Service): Promise<number | null> {
  service.kill('SIGTERM')
  return await service.exited
}

/** What the service answered, as far as it came. */
export interface Answer {
  status: number
  headers: Headers
  /** Undefined where the connection broke after the head. */
  body: Record<string, unknown> | undefined
  milliseconds: number
}

/** How often, and after how many milliseconds, a client asks again that was told to come back later. */
const PATIENCE = 60
const PAUSE = 1_000

/** Whether a service that has too much to do sent it away, before it looked at what it asked for. That is no fault. */
function isSentAway ({ status, body }: Answer): boolean {
  return status === 503 && /The service is overloaded|Too many logins/.test(JSON.stringify(body))
}

/** Sends a request, again where the machine is too busy; undefined where no answer came, because the service died. */
export async function call (url: string, path: string, request: Outgoing = {}): Promise<Answer | undefined> {
  for (let patience = PATIENCE; ; patience--) {
    const answer = await callOnce(url, path, request)
    if (answer === undefined || patience === 0 || !isSentAway(answer)) return answer
    await delay(PAUSE)
  }
}

interface Outgoing {
  method?: string
  headers?: Record<string, string>
  form?: Record<string, string>
  json?: object
}

async function callOnce (
  url: string, path: string, { method = 'POST', headers = {}, form, json }: Outgoing
): Promise<Answer | undefined> {
  const start = performance.now()
  let response: Response
  try {
    response = await fetch(url + path, {
      method,
      headers: json === undefined ? headers : { ...headers, 'content-type': 'application/json' },
      body: form !== undefined ? new URLSearchParams(form) : json !== undefined ? JSON.stringify(json) : undefined
    })
  } catch {
    return undefined
  }
  let body: Record<string, unknown> | undefined
  try {
    const text = await response.text()
    body = text === '' ? {} : JSON.parse(text) as Record<string, unknown>
  } catch {}
  return { status: response.status, headers: response.headers, body, milliseconds: performance.now() - start }
}

/** Makes an account with the password of the tests. */
export async function register (url: string, username: string): Promise<Answer | undefined> {
  return await call(url, '/register', { json: { username, password: PASSWORD } })
}

export async function askToken (url: string, username: string): Promise<Answer | undefined> {
  return await call(url, '/token', { form: { grant_type: 'password', username, password: PASSWORD } })
}

export async function askRefresh (url: string, refreshToken: string): Promise<Answer | undefined> {
  return await call(url, '/token', { form: { grant_type: 'refresh_token', refresh_token: refreshToken } })
}

export async function askRevoke (url: string, token: string): Promise<Answer | undefined> {
  return await call(url, '/revoke', { form: { token } })
}

/** A protected call. */
export async function askMe (url: string, accessToken: string): Promise<Answer | undefined> {
  return await call(url, '/users/me', { method: 'GET', headers: bearer(accessToken) })
}

/** Logs in; throws where that does not work. */
export async function logIn (url: string, username: string): Promise<TokenBody> {
  const answer = await askToken(url, username)
  if (answer?.status !== 200) {
    throw new Error(
    `Logging in ${username} failed: ${answer?.status} ${JSON.stringify(answer?.body)}`
    )
  }
  return answer.body as unknown as TokenBody
}

/** Whether the promise is still open after a turn of the event loop. */
export async function isPending (promise: Promise<unknown>): Promise<boolean> {
  await nextTurn()
  const open = {}
  return await Promise.race([promise, Promise.resolve(open)]) === open
}

/** The claims of an access token. */
export function claimsOf (token: string): { jti: string, sid: string, sub: string, exp: number, iat: number } {
  return JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString()) as ReturnType<typeof claimsOf>
}
