import type { components } from './openapi.js'
import { toResponseError } from './response-error.js'
import { PAUSE, refreshDelay, sendRefresh } from './session.js'
import type { Session, Surroundings } from './session.js'

type LoginResponse = components['schemas']['LoginResponse']

const JSON_BODY = { 'content-type': 'application/json' }

/** The browser leaves the cookies out otherwise, where the service is at another origin. */
const credentials = 'include'

/** A session whose tokens are in HttpOnly cookies. Its mark counts what this page knows of: other tabs refresh the same cookies. */
export function createCookieSession (surroundings: Surroundings): Session {
  const { base, send, now, onSessionEnd } = surroundings
  let refreshes = 0
  /** Unknown after the page was loaded anew: then a 401 tells. */
  let refreshAt = Infinity

  async function take (response: Response): Promise<{ scopes: string[] }> {
    const { scope, expires_in: expiresIn } = await response.json() as LoginResponse
    refreshes += 1
    refreshAt = now() + refreshDelay(expiresIn * 1_000)
    return { scopes: scope.split(' ').filter(name => name !== '') }
  }

  /** Whether another tab has refreshed. Only the cookie tells: what tabs say to each other may come later. */
  async function isLive (): Promise<boolean> {
    const response = await send(new Request(`${base}/users/me`, { credentials }))
    await response.body?.cancel()
    return response.status !== 401
  }

  return {
    async isDue () {
      return now() >= refreshAt
    },
    async mark () {
      return refreshes
    },
    async authenticate (request) {
      return new Request(request, { credentials })
    },
    async refresh (used) {
      if (refreshes !== used) return true
      if (now() < refreshAt && await isLive()) return true
      const response = await sendRefresh(surroundings, { credentials })
      if (response?.ok === true) {
        await take(response)
        return true
      }
      if (response?.status === 401) {
        refreshAt = Infinity
        onSessionEnd()
      } else if (now() >= refreshAt) {
        refreshAt = now() + PAUSE
      }
      return false
    },
    async logIn (form) {
      const response = await send(new Request(`${base}/login`, { method: 'POST', headers: JSON_BODY, body: JSON.stringify(form), credentials }))
      if (!response.ok) throw await toResponseError(response)
      return await take(response)
    },
    async logOut (target) {
      const response = await send(new Request(`${base}/logout`, { method: 'POST', headers: JSON_BODY, body: JSON.stringify({ target }), credentials }))
      if (!response.ok) throw await toResponseError(response)
      if (target !== 'others') refreshAt = Infinity
    }
  }
}
