import type { components } from './openapi.js'
import { toResponseError } from './response-error.js'
import { PAUSE, refreshDelay, sendRefresh } from './session.js'
import type { Session, Surroundings } from './session.js'
import type { TokenStore } from './store.js'

type TokenResponse = components['schemas']['TokenResponse']

const JSON_BODY = { 'content-type': 'application/json' }

/** A session whose tokens are ours to keep: RFC 6750 section 2.1. Its mark is the access token. */
export function createBearerSession ({ store, ...surroundings }: Surroundings & { store: TokenStore }): Session {
  const { base, send, now, onSessionEnd } = surroundings

  async function keep (response: Response): Promise<{ scopes: string[] }> {
    const { access_token: accessToken, refresh_token: refreshToken, expires_in: expiresIn, scope } = await response.json() as TokenResponse
    if (refreshToken === undefined) throw new TypeError('The answer has no refresh token: is this the service?')
    await store.write({ accessToken, refreshToken, refreshAt: now() + refreshDelay(expiresIn * 1_000) })
    return { scopes: scope.split(' ').filter(name => name !== '') }
  }

  async function post (path: string, init: RequestInit): Promise<Response> {
    const response = await send(new Request(base + path, { method: 'POST', ...init }))
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
    async authenticate (request) {
      const tokens = await store.read()
      if (tokens !== undefined) request.headers.set('authorization', `Bearer ${tokens.accessToken}`)
      return request
    },
    async refresh (used) {
      const tokens = await store.read()
      if (tokens === undefined) return false
      if (tokens.accessToken !== used) return true
      const response = await sendRefresh(surroundings, { headers: JSON_BODY, body: JSON.stringify({ refresh_token: tokens.refreshToken }) })
      if (response?.ok === true) {
        await keep(response)
        return true
      }
      if (response?.status === 401) {
        await store.write(undefined)
        onSessionEnd()
      } else {
        await store.write({ ...tokens, refreshAt: now() + PAUSE })
      }
      return false
    },
    async logIn (credentials) {
      return await keep(await post('/token', { body: new URLSearchParams({ grant_type: 'password', ...credentials }) }))
    },
    async logOut (target) {
      const tokens = await store.read()
      if (tokens === undefined) return
      // The refresh token ends its session also where the access token has expired.
      if (target === 'this') await post('/revoke', { body: new URLSearchParams({ token: tokens.refreshToken }) })
      else await post('/logout', { headers: { ...JSON_BODY, authorization: `Bearer ${tokens.accessToken}` }, body: JSON.stringify({ target }) })
      if (target !== 'others') await store.write(undefined)
    }
  }
}
