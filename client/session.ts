/** The dependencies of both transports. */
export interface Surroundings {
  /** The URL of the routes, without a trailing slash. */
  base: string
  send (request: Request): Promise<Response>
  now (): number
  onSessionEnd (): void
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

/** No try starts later than this many milliseconds after the first. The service returns the same successor for 10 s. */
const LAST_TRY = 8_000

/** The timeout of the client's other requests, in milliseconds. Requests of the caller wait for them. */
export const REQUEST_TIMEOUT = 30_000

/**
 * Sends a refresh, and retries while no response arrives. The response may be lost after the service has rotated the
 * token, and a client that sends the rotated token after the grace period is treated as a thief. Returns the response,
 * `over` if the session has ended, or undefined if the outcome is unknown.
 */
export async function sendRefresh<Body extends { expires_in: number }> (
  { base, send }: Surroundings,
  init: RequestInit
): Promise<Body | 'over' | undefined> {
  const started = performance.now()
  for (const delay of [0, ...RETRY_AFTER]) {
    if (performance.now() - started + delay > LAST_TRY) return undefined
    if (delay > 0) await new Promise(resolve => setTimeout(resolve, delay))
    try {
      const response = await send(
        new Request(`${base}/refresh`, {
          method: 'POST',
          redirect: 'error',
          signal: AbortSignal.timeout(TRY_TIMEOUT),
          ...init
        })
      )
      // Read the body inside the try: a truncated response or the page of a gateway counts as no response.
      const body = await response.json() as Body & { code?: string }
      if (response.status === 401) return 'over'
      if (response.ok && typeof body.expires_in === 'number') return body
      if (typeof body.code === 'string') return undefined
    } catch {
      // The service may still have rotated the token, so retry.
    }
  }
  return undefined
}
