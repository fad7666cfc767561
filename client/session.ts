import { toResponseError } from './response-error.js'

/** Why a session has ended. */
export interface SessionEnd {
  /**
   * The `code` of the refusal, from docs/reference/errors.md. `session_stolen`: two parties have used the same refresh
   * token. Warn the user.
   */
  code: string
}

/** The dependencies of both transports. */
export interface Surroundings {
  /** The URL of the routes, without a trailing slash. */
  base: string
  send (request: Request): Promise<Response>
  now (): number
  onSessionEnd (reason: SessionEnd): void
}

/** A session of either transport. `createClient` calls `refresh`, `logIn` and `logOut` one at a time. */
export interface Session {
  /** Whether the access token is about to expire. */
  isDue (): Promise<boolean>
  /**
   * Identifies the tokens of the next request. It changes with each refresh, and is undefined if there is nothing to
   * refresh.
   */
  mark (): Promise<unknown>
  /** Returns the access token, or undefined without a login. Missing if no script can read the token. */
  accessToken?: () => Promise<string | undefined>
  /** Identifies the login of the next request. A refresh does not change it. */
  login (): Promise<unknown>
  authenticate (request: Request): Promise<Request>
  /**
   * Refreshes, unless an earlier refresh has already changed the mark from `used`. Returns whether the request may be
   * retried.
   */
  refresh (used: unknown): Promise<boolean>
  logIn (form: { username: string, password: string, scope?: string }): Promise<{ scopes: string[] }>
  logOut (target: 'this' | 'others' | 'all'): Promise<void>
}

/** The longest margin, in milliseconds. A token is refreshed one to two margins before it expires. */
const MARGIN = 60_000

/**
 * Returns after how many milliseconds to refresh a token with this lifetime: at a random time in its last fifth, or in
 * its last two minutes if that is later. It is random so that clients that started together do not refresh together.
 */
export function refreshDelay (lifetime: number): number {
  const margin = Math.min(MARGIN, lifetime / 10)
  return lifetime - margin * (1 + Math.random())
}

/** Milliseconds before the next refresh after a failed one. The access token may still be valid until then. */
export const PAUSE = 5_000

/** Milliseconds to wait before each retry. */
const RETRY_AFTER = [200, 1_000, 2_000, 2_000, 2_000]

/** The timeout of one try, in milliseconds. */
const TRY_TIMEOUT = 3_000

/** No try starts later than this many milliseconds after the first. */
const LAST_TRY = 8_000

/** The timeout of the client's other requests, in milliseconds. Requests of the caller wait for them. */
const REQUEST_TIMEOUT = 30_000

/**
 * Runs `work` with a signal that aborts after this many milliseconds. React Native and older browsers have no
 * `AbortSignal.timeout`.
 */
async function limit<Result> (milliseconds: number, work: (signal: AbortSignal) => Promise<Result>): Promise<Result> {
  const controller = new AbortController()
  const timer = setTimeout(() => {
    controller.abort(new Error(`The service did not respond within ${milliseconds / 1_000} seconds`))
  }, milliseconds)
  try {
    return await work(controller.signal)
  } finally {
    clearTimeout(timer)
  }
}

/** A response that was received completely. */
interface Answer {
  status: number
  ok: boolean
  text: string
}

/** Sends one of the client's own requests. */
export async function exchange (
  { base, send }: Surroundings,
  path: string,
  { timeout = REQUEST_TIMEOUT, ...init }: RequestInit & { timeout?: number }
): Promise<Answer> {
  return await limit(timeout, async signal => {
    const response = await send(new Request(base + path, { redirect: 'error', signal, ...init }))
    return { status: response.status, ok: response.ok, text: await response.text() }
  })
}

/** Sends a request that changes the session, and returns the text of the response. Throws a `ResponseError`. */
export async function post (surroundings: Surroundings, path: string, init: RequestInit): Promise<string> {
  const answer = await exchange(surroundings, path, { method: 'POST', ...init })
  if (!answer.ok) throw toResponseError(answer)
  return answer.text
}

/**
 * Sends a refresh, and retries while no response arrives. The response may be lost after the service has rotated the
 * token. Then the next refresh gets it, no matter how late. Returns the response, why the session has ended, or
 * undefined if the outcome is unknown.
 */
export async function sendRefresh<Body extends { expires_in: number }> (
  surroundings: Surroundings,
  init: RequestInit
): Promise<Body | SessionEnd | undefined> {
  const started = performance.now()
  for (const delay of [0, ...RETRY_AFTER]) {
    if (performance.now() - started + delay > LAST_TRY) return undefined
    if (delay > 0) await new Promise(resolve => setTimeout(resolve, delay))
    try {
      const { status, ok, text } = await exchange(surroundings, '/refresh', {
        method: 'POST', timeout: TRY_TIMEOUT, ...init
      })
      // A truncated response or a gateway's error page counts as no response.
      const body = JSON.parse(text) as Body & { code?: string }
      if (status === 401) return { code: body.code ?? 'unknown' }
      if (ok && typeof body.expires_in === 'number') return body
      if (typeof body.code === 'string') return undefined
    } catch {
      // The service may still have rotated the token, so retry.
    }
  }
  return undefined
}
