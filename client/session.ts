/** What both transports need. */
export interface Surroundings {
  /** The URL of the routes, without a slash at its end. */
  base: string
  send (request: Request): Promise<Response>
  now (): number
  onSessionEnd (): void
}

/** A session, however its requests are authenticated. `createClient` calls what changes it one at a time. */
export interface Session {
  /** Whether the access token is about to expire. */
  isDue (): Promise<boolean>
  /** What the next request is authenticated by: another value after each refresh, undefined where there is nothing to refresh. */
  mark (): Promise<unknown>
  /** Which login the next request belongs to: the same value after a refresh. */
  login (): Promise<unknown>
  authenticate (request: Request): Promise<Request>
  /** Refreshes, unless that was done since `used` was the mark. Tells whether a request may be sent again. */
  refresh (used: unknown): Promise<boolean>
  logIn (form: { username: string, password: string, scope?: string }): Promise<{ scopes: string[] }>
  logOut (target: 'this' | 'others' | 'all'): Promise<void>
}

/** The longest time before expiry at which a token is refreshed, in milliseconds. */
const MARGIN = 60_000

/**
 * When a token of this lifetime is to be refreshed, in milliseconds from now: some time in the last fifth, at most the last two minutes.
 * Chance keeps clients that began together from coming back together.
 */
export function refreshDelay (lifetime: number): number {
  const margin = Math.min(MARGIN, lifetime / 10)
  return lifetime - margin * (1 + Math.random())
}

/** How long the service is left alone after a refresh came to nothing, in milliseconds: until then the token may still do. */
export const PAUSE = 5_000

/** Milliseconds to wait before each further try. */
const RETRY_AFTER = [200, 1_000, 2_000, 2_000, 2_000]

/** How long one try may take, in milliseconds. */
const TRY_TIMEOUT = 3_000

/** When the last try is sent at the latest, in milliseconds after the first: within the grace of 10 s, in which the service gives the same successor again. */
const LAST_TRY = 8_000

/** How long any other request of our own may take, in milliseconds: the others wait for it. */
export const REQUEST_TIMEOUT = 30_000

/**
 * Sends a refresh, and again while no answer comes: it may have been lost on its way, and whoever comes back with a rotated token
 * after the grace is taken for a thief. Gives what was answered, `over` where the session is, and undefined where nothing is known.
 */
export async function sendRefresh<Body extends { expires_in: number }> ({ base, send }: Surroundings, init: RequestInit): Promise<Body | 'over' | undefined> {
  const started = performance.now()
  for (const delay of [0, ...RETRY_AFTER]) {
    if (performance.now() - started + delay > LAST_TRY) return undefined
    if (delay > 0) await new Promise(resolve => setTimeout(resolve, delay))
    try {
      const response = await send(new Request(`${base}/refresh`, { method: 'POST', redirect: 'error', signal: AbortSignal.timeout(TRY_TIMEOUT), ...init }))
      // Read here: an answer that breaks off, or is some gateway's page, is no answer either.
      const body = await response.json() as Body & { code?: string }
      if (response.status === 401) return 'over'
      if (response.ok && typeof body.expires_in === 'number') return body
      if (typeof body.code === 'string') return undefined
    } catch {
      // The service may have rotated the token all the same.
    }
  }
  return undefined
}
