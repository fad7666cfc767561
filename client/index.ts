import createApi from 'openapi-fetch'
import type { Client as Api } from 'openapi-fetch'
import type { Scope } from '../schemas/scopes.js'
import { createBearerSession } from './bearer.js'
import { createCookieSession } from './cookie.js'
import { createLock, findTabLock, lockOf } from './lock.js'
import type { paths } from './openapi.js'
import { createKeySession } from './key.js'
import { originOf } from './origin.js'
import { toResponseError } from './response-error.js'
import type { Session, SessionEnd, Surroundings } from './session.js'
import { createStepUp, readStepUp } from './step-up.js'
import type { StepUp } from './step-up.js'
import { createMemoryStore } from './store.js'
import type { TokenStore } from './store.js'

export type { components, operations, paths } from './openapi.js'
export { ResponseError } from './response-error.js'
export type { SessionEnd } from './session.js'
export { readStepUp } from './step-up.js'
export type { StepUp } from './step-up.js'
export type { Tokens, TokenStore } from './store.js'
export type * from '../schemas/scopes.js'

export interface ClientOptions {
  /**
   * The URL of the service's routes, with its prefix if it has one: `https://auth.example.com`. In a page, a path such
   * as `/auth` works too.
   */
  url: string
  /**
   * How requests are authenticated. `bearer` keeps the tokens in `store` and sends them in the Authorization header.
   * `cookie` uses HttpOnly cookies of the browser, which no script can read. Default: `bearer`.
   */
  transport?: 'bearer' | 'cookie'
  /**
   * Additional origins that `fetch` may send the token or the cookies to, for example `https://api.example.com`.
   * Default: none, only the origin of `url`.
   */
  origins?: readonly string[]
  /**
   * Where the transport `bearer` keeps the tokens. Default: in memory. Any script of the page can read localStorage.
   */
  store?: TokenStore
  /**
   * Called when the service reports that the session has ended, except after `logOut`. Ask for the password again. With
   * cookies it is also called once if there never was a session. `reason.code` is the cause.
   */
  onSessionEnd?: (reason: SessionEnd) => void
  /**
   * Called when a route requires a more recent login (RFC 9470), once for all requests that wait for it. Ask the user
   * for the password, call `logIn`, and return true. The client then sends the requests once more, unless another user
   * has logged in. Do not await other requests of this client in it. Default: the caller gets the 401. See
   * `readStepUp`.
   */
  onStepUp?: (stepUp: StepUp) => boolean | Promise<boolean>
  /**
   * A personal access token. The client sends it with every request, and needs no login. Use it only where no other
   * user can read it, for example in a script on a server. Default: none.
   */
  key?: string
  /** Default: the global `fetch`. */
  fetch?: (request: Request) => Promise<Response>
  /** The source of time in milliseconds, for tests. Default: `Date.now`. */
  now?: () => number
}

export interface Client {
  /**
   * Starts a session. `scopes` asks for a subset of the granted scopes. Throws a `ResponseError`. Its `code` is from
   * docs/reference/errors.md, or with the transport `bearer` from RFC 6749 section 5.2.
   */
  logIn (credentials: { username: string, password: string, scopes?: readonly Scope[] }): Promise<{ scopes: string[] }>
  /**
   * Ends this session, all other sessions of the user, or all of them. Discards the tokens after the service has
   * confirmed. If this throws, the session may still be live, and you can call it again. Throws a `ResponseError` with
   * 401 if the target is `others` or `all` and this session has already ended.
   */
  logOut (target?: 'this' | 'others' | 'all'): Promise<void>
  /**
   * Like the global `fetch`, but authenticated. It refreshes shortly before the access token expires. On a 401 it
   * refreshes and retries once. Throws a `TypeError` for an origin that may not receive the token. A request that
   * already has an Authorization header is sent unchanged.
   */
  fetch (input: string | URL | Request, init?: RequestInit): Promise<Response>
  /**
   * Returns an access token to send yourself, for example with the handshake of a WebSocket. Like `fetch`, it refreshes
   * shortly before the token expires, once for all concurrent calls. If the service cannot be reached, it returns the
   * current token. Returns undefined without a login. Throws a `TypeError` with the transport `cookie`. Send the
   * token only to origins that you trust.
   */
  accessToken (): Promise<string | undefined>
  /**
   * The routes of the service, typed: `await client.api.GET('/users/me')` returns `{ data, error, response }`. See
   * openapi-fetch.
   */
  api: Api<paths>
}

/** On these routes, a 401 means that the credentials in the body are wrong. A retry would count as a second attempt. */
const CREDENTIAL_ROUTES = ['/token', '/login', '/refresh', '/register', '/revoke']

/** Creates a client of the service, for Node.js, browsers and React Native. */
export function createClient (
  {
    url, transport = 'bearer', origins = [], store, key, onStepUp, onSessionEnd = () => {},
    fetch: send = request => fetch(request),
    now = Date.now
  }: ClientOptions
): Client {
  const base = trimSlashes(absolute(url))
  const allowed = [base, ...origins].map(assertOrigin)
  // Tabs that share tokens must refresh them one at a time. With tokens in memory, each tab has its own session.
  const isShared = transport === 'cookie' || store !== undefined
  const lock =
    (isShared ? findTabLock(`latchkey:${base}`) : undefined) ?? (store === undefined ? createLock() : lockOf(store))
  const surroundings = { base, send, now, onSessionEnd }
  const session = createSession(surroundings, { key, transport, store })

  let refreshing: Promise<boolean> | undefined

  /** Concurrent callers share one refresh. The lock extends this to other tabs. */
  function refresh (used: unknown): Promise<boolean> {
    refreshing ??= lock(() => session.refresh(used)).finally(() => { refreshing = undefined })
    return refreshing
  }

  async function refreshIfDue (): Promise<void> {
    if (await session.isDue()) await refresh(await session.mark())
  }

  const { isSameUser, sendAgain } = createStepUp({
    base, session, send: authenticated, onStepUp: key === undefined ? onStepUp : undefined
  })

  async function authenticated (request: Request): Promise<Response> {
    const origin = originOf(request.url)
    if (origin === undefined || !allowed.includes(origin)) {
      throw new TypeError(
        `${origin ?? 'A URL that is not plain http or https'} must not receive the token: ` +
        'add its origin to the option origins if you trust it'
      )
    }
    if (request.headers.has('authorization')) return await send(request)
    if (CREDENTIAL_ROUTES.some(path => request.url === base + path)) {
      return await send(transport === 'cookie' ? await session.authenticate(request) : request)
    }
    await refreshIfDue()
    const [used, login] = [await session.mark(), await session.login()]
    const response = await send(await session.authenticate(request.clone()))
    // The service would reject any other token of the same session too.
    if (response.status !== 401 || used === undefined || readStepUp(response) !== undefined) return response
    const isRenewed = await session.mark() !== used || await refresh(used)
    if (!isRenewed || !await isSameUser(login)) return response
    await response.body?.cancel()
    return await send(await session.authenticate(request))
  }

  /** `POST /logout` also answers 204 if this session has ended, but then it ends no other session. */
  async function assertLive (): Promise<void> {
    const response = await authenticated(new Request(`${base}/users/me`))
    if (!response.ok) throw toResponseError({ status: response.status, text: await response.text() })
    await response.body?.cancel()
  }

  return {
    async logIn ({ username, password, scopes }) {
      return await lock(() =>
        session.logIn({ username, password, ...(scopes !== undefined && { scope: scopes.join(' ') }) })
      )
    },
    async logOut (target = 'this') {
      if (target !== 'this') await assertLive()
      await lock(() => session.logOut(target))
    },
    async fetch (input, init) {
      return await sendAgain(new Request(input, init))
    },
    async accessToken () {
      if (session.accessToken === undefined) {
        throw new TypeError(
          'No script can read the access token with the transport cookie: use client.fetch, or let the browser send ' +
          'the cookies'
        )
      }
      await refreshIfDue()
      return await session.accessToken()
    },
    api: createApi<paths>({ baseUrl: base, fetch: sendAgain })
  }
}

function createSession (
  surroundings: Surroundings, { key, transport, store }: Pick<ClientOptions, 'key' | 'transport' | 'store'>
): Session {
  if (key !== undefined) return createKeySession(key)
  return transport === 'cookie'
    ? createCookieSession(surroundings)
    : createBearerSession({ ...surroundings, store: store ?? createMemoryStore() })
}

/**
 * In a page, a path is relative to the page. `Request` normalizes the URL in the same way as those of later requests.
 */
function absolute (url: string): string {
  const page = (globalThis as { location?: { href: string } }).location?.href
  return new Request(page === undefined ? url : new URL(url, page).href).url
}

function assertOrigin (url: string): string {
  const origin = originOf(new Request(url).url)
  if (origin === undefined) throw new TypeError(`${url} is not a URL such as https://api.example.com`)
  return origin
}

/** A loop, because a regular expression would need quadratic time, or a lookbehind, which older browsers lack. */
function trimSlashes (url: string): string {
  let end = url.length
  while (url[end - 1] === '/') end--
  return url.slice(0, end)
}
