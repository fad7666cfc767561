import fastifyCookie from '@fastify/cookie'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { fullCookieNames } from '../../lib/http/cookie-names.js'
import { readBearer } from '../../lib/http/credentials.js'
import { isCrossSite } from '../../lib/http/cross-site.js'
import { LatchkeyError } from '../../lib/errors.js'
import type { CookieSettings } from '../../lib/options/cookies.js'
import { isolate } from './isolate.js'

/** The most bytes of name and value: RFC 6265bis section 5.6. A browser silently drops a longer cookie. */
const MAX_COOKIE_SIZE = 4_096

/** Tokens in cookies, and the rule for requests that carry them. */
export interface Cookies {
  /**
   * Returns the access token of a request, from the header or else from the cookie. Throws `unauthenticated`, or
   * `cross_site_request` if the token is in the cookie.
   */
  readAccessToken (request: FastifyRequest): string
  /**
   * Returns the access token in the header, if there is one. A request that has one does not use the cookies. A page of
   * another site cannot make a browser send it.
   */
  readBearer (request: FastifyRequest): string | undefined
  /**
   * Whether a request has a token in the header, and cookies with other tokens. The cookies may belong to a session
   * that the request does not act for.
   */
  holdOthers (request: FastifyRequest): boolean
  /** Returns the refresh token in the cookie, if there is one. Throws `cross_site_request`. */
  readRefreshToken (request: FastifyRequest): string | undefined
  /** Returns false if a browser sent the request for a page of another site. */
  isSameSite (request: FastifyRequest): boolean
  /**
   * Throws `cross_site_request` if `isSameSite` returns false.
   * @param method - judges the request as if it had this method. Default: its own.
   */
  assertSameSite (request: FastifyRequest, method?: string): void
  /**
   * Sets both cookies, or the one of the access token if there is no refresh token. Throws if the access token is too
   * long for a browser to keep, because otherwise the login would seem to have worked.
   */
  set (reply: FastifyReply, tokens: CookieTokens): void
  /** Removes both cookies. It uses the attributes that they were set with, or a browser would keep them. */
  clear (reply: FastifyReply): void
}

/** The tokens to set. Lifetimes are in seconds. */
interface CookieTokens {
  accessToken: string
  expiresIn: number
  refreshToken?: string
  refreshExpiresIn?: number
}

/** Makes the transport. */
export async function createCookies (
  settings: CookieSettings & { scheme: string, trustedOrigins: ReadonlySet<string> }
): Promise<Cookies> {
  const { scheme, cookiesSecure: secure, trustedOrigins } = settings
  const { access: accessName, refresh: refreshName } = fullCookieNames(settings)
  const { parseCookie, serializeCookie } = await isolate(fastifyCookie, {})
  const attributes = { httpOnly: true, secure, sameSite: 'lax', path: '/' } as const

  function read (request: FastifyRequest, name: string): string | undefined {
    const header = request.headers.cookie
    if (header === undefined) return undefined
    const value = parseCookie(header)[name]
    return value === '' ? undefined : value
  }

  function readHeader (request: FastifyRequest): string | undefined {
    return readBearer(request.headers.authorization, scheme)
  }

  function isSameSite ({ method: ownMethod, headers, host }: FastifyRequest, method = ownMethod): boolean {
    const fetchSite = headers['sec-fetch-site']
    return !isCrossSite({
      method,
      fetchSite: typeof fetchSite === 'string' ? fetchSite : undefined,
      origin: headers.origin,
      host,
      isUpgrade: headers.upgrade !== undefined
    }, trustedOrigins)
  }

  function assertSameSite (request: FastifyRequest, method?: string): void {
    if (!isSameSite(request, method)) throw new LatchkeyError('cross_site_request')
  }

  return {
    isSameSite,
    assertSameSite,
    readAccessToken (request) {
      const header = readHeader(request)
      if (header !== undefined) return header
      const cookie = read(request, accessName)
      if (cookie === undefined) throw new LatchkeyError('unauthenticated')
      assertSameSite(request)
      return cookie
    },
    readBearer: readHeader,
    holdOthers (request) {
      const header = readHeader(request)
      const access = read(request, accessName)
      if (header === undefined || header === access) return false
      return access !== undefined || read(request, refreshName) !== undefined
    },
    readRefreshToken (request) {
      const cookie = read(request, refreshName)
      if (cookie !== undefined) assertSameSite(request)
      return cookie
    },
    set (reply, { accessToken, expiresIn, refreshToken, refreshExpiresIn }) {
      const size = accessName.length + accessToken.length
      if (size > MAX_COOKIE_SIZE) {
        throw new Error(
          `An access token needs a cookie of ${size} bytes, but browsers keep only ${MAX_COOKIE_SIZE}: ` +
          'grant fewer scopes, let the login ask for fewer, or shorten the claims'
        )
      }
      const set = [serializeCookie(accessName, accessToken, { ...attributes, maxAge: expiresIn })]
      if (refreshToken !== undefined) {
        set.push(serializeCookie(refreshName, refreshToken, { ...attributes, maxAge: refreshExpiresIn }))
      }
      reply.header('set-cookie', set)
    },
    clear (reply) {
      reply.header(
        'set-cookie',
        [accessName, refreshName].map(name =>
          serializeCookie(name, '', { ...attributes, maxAge: 0, expires: new Date(0) })
        )
      )
    }
  }
}
