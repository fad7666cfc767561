import type { components } from './openapi.js'
import { toResponseError } from './response-error.js'
import { PAUSE, refreshDelay, REQUEST_TIMEOUT, sendRefresh } from './session.js'
import type { Session, Surroundings } from './session.js'
import type { TokenStore } from './store.js'

type TokenResponse = components['schemas']['TokenResponse']

const JSON_BODY = { 'content-type': 'application/json' }

/** A session whose tokens this client stores and sends itself: RFC 6750 section 2.1. Its mark is the access token. */
export function createBearerSession ({ store, ...surroundings }: Surroundings & { store: TokenStore }): Session {
  const { base, send, now, onSessionEnd } = surroundings

  async function keep (
    { access_token: accessToken, refresh_token: refreshToken, expires_in: expiresIn }: TokenResponse,
    login: string
  ): Promise<void> {
    if (refreshToken === undefined) {
      throw new TypeError('The response has no refresh token: check that url is the URL of the service')
    }
    await store.write({ accessToken, refreshToken, login, refreshAt: now() + refreshDelay(expiresIn * 1_000) })
  }

  async function post (path: string, init: RequestInit): Promise<Response> {
    const response = await send(
      new Request(base + path, {
        method: 'POST',
        redirect: 'error',
        signal: AbortSignal.timeout(REQUEST_TIMEOUT),
        ...init
      })
    )
    if (!response.ok) throw await toResponseError(response)
    return response
  }

  return {
    async isDue () {
      const tokens = await store.read()
      return tokens !== undefined && now() >= tokens.refreshAt
    },
    async mark () {
      return (await store.read())?.accessToken
    },
    async login () {
      return (await store.read())?.login
    },
    async authenticate (request) {
      const tokens = await store.read()
      if (tokens !== undefined) request.headers.set('authorization', `Bearer ${tokens.accessToken}`)
      return request
    },
    async refresh (used) {
      const tokens = await store.read()
      if (tokens === undefined) return false
      if (tokens.accessToken !== used) return true
      const outcome = await sendRefresh<TokenResponse>(surroundings, {
        headers: JSON_BODY,
        body: JSON.stringify({ refresh_token: tokens.refreshToken })
      })
      // A process that shares the store but not the lock may have stored newer tokens meanwhile. Keep those.
      const kept = await store.read()
      if (kept?.refreshToken !== tokens.refreshToken) return kept !== undefined
      if (outcome === 'over') {
        await store.write(undefined)
        onSessionEnd()
        return false
      }
      if (outcome === undefined) await store.write({ ...tokens, refreshAt: now() + PAUSE })
      else await keep(outcome, tokens.login)
      return outcome !== undefined
    },
    async logIn (credentials) {
      const response = await post('/token', { body: new URLSearchParams({ grant_type: 'password', ...credentials }) })
      const tokens = await response.json() as TokenResponse
      await keep(tokens, crypto.getRandomValues(new Uint32Array(2)).join('-'))
      return { scopes: tokens.scope.split(' ').filter(name => name !== '') }
    },
    async logOut (target) {
      const tokens = await store.read()
      if (tokens === undefined) return
      // The refresh token can end its session even after the access token has expired.
      if (target === 'this') await post('/revoke', { body: new URLSearchParams({ token: tokens.refreshToken }) })
      else {
        await post('/logout', {
          headers: { ...JSON_BODY, authorization: `Bearer ${tokens.accessToken}` },
          body: JSON.stringify({ target })
        })
      }
      if (target !== 'others') await store.write(undefined)
    }
  }
}
