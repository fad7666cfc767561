import type { components } from './openapi.js'
import { PAUSE, post, refreshDelay, sendRefresh } from './session.js'
import type { Session, Surroundings } from './session.js'
import type { TokenStore } from './store.js'

type TokenResponse = components['schemas']['TokenResponse']

const JSON_BODY = { 'content-type': 'application/json' }

/** A form as the body of a request. It is text, because React Native's `URLSearchParams` is incomplete. */
function formOf (fields: Record<string, string>): RequestInit {
  return {
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
    body: Object.entries(fields).map(([name, value]) => `${name}=${encodeURIComponent(value)}`).join('&')
  }
}

/** A session whose tokens this client stores and sends itself: RFC 6750 section 2.1. Its mark is the access token. */
export function createBearerSession ({ store, ...surroundings }: Surroundings & { store: TokenStore }): Session {
  const { now, onSessionEnd } = surroundings

  async function keep (
    { access_token: accessToken, refresh_token: refreshToken, expires_in: expiresIn }: TokenResponse,
    login: string
  ): Promise<void> {
    if (refreshToken === undefined) {
      throw new TypeError('The response has no refresh token: check that url is the URL of the service')
    }
    await store.write({ accessToken, refreshToken, login, refreshAt: now() + refreshDelay(expiresIn * 1_000) })
  }

  async function endSession (refreshToken: string): Promise<void> {
    await post(surroundings, '/revoke', formOf({ token: refreshToken }))
  }

  async function accessToken (): Promise<string | undefined> {
    return (await store.read())?.accessToken
  }

  return {
    async isDue () {
      const tokens = await store.read()
      return tokens !== undefined && now() >= tokens.refreshAt
    },
    mark: accessToken,
    accessToken,
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
      if (outcome !== undefined && 'code' in outcome) {
        await store.write(undefined)
        onSessionEnd(outcome)
        return false
      }
      if (outcome === undefined) await store.write({ ...tokens, refreshAt: now() + PAUSE })
      else await keep(outcome, tokens.login)
      return outcome !== undefined
    },
    async logIn (credentials) {
      const text = await post(surroundings, '/token', formOf({ grant_type: 'password', ...credentials }))
      const tokens = JSON.parse(text) as TokenResponse
      // It only distinguishes two logins and is not a secret, so it needs no `crypto`, which React Native lacks.
      const previous = await store.read()
      await keep(tokens, `${now()}-${Math.random()}`)
      // With cookies, the service ends the previous session itself. If this fails, that session expires unused.
      if (previous !== undefined) await endSession(previous.refreshToken).catch(() => {})
      return { scopes: tokens.scope.split(' ').filter(name => name !== '') }
    },
    async logOut (target) {
      const tokens = await store.read()
      if (tokens === undefined) return
      // The refresh token can end its session even after the access token has expired.
      if (target === 'this') await endSession(tokens.refreshToken)
      else {
        await post(surroundings, '/logout', {
          headers: { ...JSON_BODY, authorization: `Bearer ${tokens.accessToken}` },
          body: JSON.stringify({ target })
        })
      }
      if (target !== 'others') await store.write(undefined)
    }
  }
}
