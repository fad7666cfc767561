import createApi from 'openapi-fetch'
import type { Client as Api } from 'openapi-fetch'
import type { Scope } from '../schemas/scopes.js'
import { createBearerSession } from './bearer.js'
import { createCookieSession } from './cookie.js'
import { createLock, findTabLock, lockOf } from './lock.js'
import type { paths } from './openapi.js'
import { toResponseError } from './response-error.js'
import type { Session } from './session.js'
import { createMemoryStore } from './store.js'
import type { TokenStore } from './store.js'

export type { components, operations, paths } from './openapi.js'
export { ResponseError } from './response-error.js'
export type { Tokens, TokenStore } from './store.js'
export type * from '../schemas/scopes.js'

export interface ClientOptions {
  /** Where the service's routes are, with the prefix where it has one: `https://auth.example.com`. In a page also a path: `/auth`. */
  url: string
  /**
   * How requests are authenticated. `bearer`: tokens in the Authorization header, kept in `store`. `cookie`: by the HttpOnly cookies
   * of the browser, which no script can read. Default `bearer`.
   */
  transport?: 'bearer' | 'cookie'
  /** Other origins that `fetch` may send the token, or the cookies, to: `https://api.example.com`. Default: none but that of `url`. */
  origins?: readonly string[]
  /** Where the tokens are kept, with the transport `bearer`. Default: in memory. Any script of the page can read what is in localStorage. */
  store?: TokenStore
  /** Called when the service says that the session is over, other than by `logOut`: time to ask for the password again. With cookies also where there was none, once. */
  onSessionEnd?: () => void
  /** Default: the global one. */
  fetch?: (request: Request) => Promise<Response>
  /** The source of time, in milliseconds, for tests. Default `Date.now`. */
  now?: () => number
}

export interface Client {
  /**
   * Begins a session. Give fewer `scopes` than are granted to get only these. Throws a `ResponseError`, with a `code` from
   * docs/reference/errors.md (of RFC 6749 section 5.2 with the transport `bearer`).
   */
  logIn (credentials: { username: string, password: string, scopes?: readonly Scope[] }): Promise<{ scopes: string[] }>
  /**
   * Ends this session, all others of the user, or all. Forgets the tokens once the service has done so: where this throws, the
   * session may live on, and it can be called again. Throws a `ResponseError` with 401 where others are to be ended by a session that is over.
   */
  logOut (target?: 'this' | 'others' | 'all'): Promise<void>
  /**
   * The global `fetch`, authenticated: refreshes shortly before the access token expires, and once where the answer is 401, and sends
   * the request again. Throws a `TypeError` for an origin that may not have the token. A request with an Authorization header of its own is left alone.
   */
  fetch (input: string | URL | Request, init?: RequestInit): Promise<Response>
  /** The routes of the service, typed: `await client.api.GET('/users/me')` gives `{ data, error, response }`. See openapi-fetch. */
  api: Api<paths>
}

/** Where a 401 speaks of what is in the body: to refresh and to send it again would be a second attempt. */
const CREDENTIAL_ROUTES = ['/token', '/login', '/refresh', '/register', '/revoke']

/** A client of the service, for Node.js and browsers. */
export function createClient ({ url, transport = 'bearer', origins = [], store, onSessionEnd = () => {}, fetch: send = request => fetch(request), now = Date.now }: ClientOptions): Client {
  const base = trimSlashes(new URL(url, pageUrl()).href)
  const allowed = [base, ...origins].map(origin => new URL(origin).origin)
  // What several tabs share must be refreshed by one of them: with tokens in memory each has a session of its own.
  const isShared = transport === 'cookie' || store !== undefined
  const lock = (isShared ? findTabLock(`latchkey:${base}`) : undefined) ?? (store === undefined ? createLock() : lockOf(store))
  const surroundings = { base, send, now, onSessionEnd }
  const session: Session = transport === 'cookie' ? createCookieSession(surroundings) : createBearerSession({ ...surroundings, store: store ?? createMemoryStore() })

  let refreshing: Promise<boolean> | undefined

  /** One refresh, however many ask for it: here and, by the lock, in other tabs. */
  function refresh (used: unknown): Promise<boolean> {
    refreshing ??= lock(() => session.refresh(used)).finally(() => { refreshing = undefined })
    return refreshing
  }

  async function authenticated (request: Request): Promise<Response> {
    if (!allowed.includes(new URL(request.url).origin)) throw new TypeError(`${new URL(request.url).origin} is not among the origins of this client: it does not get the token`)
    if (request.headers.has('authorization')) return await send(request)
    if (CREDENTIAL_ROUTES.some(path => request.url === base + path)) return await send(transport === 'cookie' ? await session.authenticate(request) : request)
    if (await session.isDue()) await refresh(await session.mark())
    const [used, login] = [await session.mark(), await session.login()]
    const response = await send(await session.authenticate(request.clone()))
    if (response.status !== 401 || used === undefined) return response
    const isRenewed = await session.mark() !== used || await refresh(used)
    // What one user began must not be done by the next.
    if (!isRenewed || await session.login() !== login) return response
    await response.body?.cancel()
    return await send(await session.authenticate(request))
  }

  /** `POST /logout` answers 204 to a dead session too, and ends no other. */
  async function assertLive (): Promise<void> {
    const response = await authenticated(new Request(`${base}/users/me`))
    if (!response.ok) throw await toResponseError(response)
    await response.body?.cancel()
  }

  return {
    async logIn ({ username, password, scopes }) {
      return await lock(() => session.logIn({ username, password, ...scopes !== undefined && { scope: scopes.join(' ') } }))
    },
    async logOut (target = 'this') {
      if (target !== 'this') await assertLive()
      await lock(() => session.logOut(target))
    },
    async fetch (input, init) {
      return await authenticated(new Request(input, init))
    },
    api: createApi<paths>({ baseUrl: base, fetch: authenticated })
  }
}

function pageUrl (): string | undefined {
  return (globalThis as { location?: { href: string } }).location?.href
}

/** A loop, because the regular expression for this needs quadratic time or a lookbehind, which older browsers lack. */
function trimSlashes (url: string): string {
  let end = url.length
  while (url[end - 1] === '/') end--
  return url.slice(0, end)
}
