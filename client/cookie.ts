import type { components } from './openapi.js'
import { exchange, PAUSE, post, refreshDelay, sendRefresh } from './session.js'
import type { Session, Surroundings } from './session.js'

type LoginResponse = components['schemas']['LoginResponse']

const JSON_BODY = { 'content-type': 'application/json' }

/** Otherwise the browser sends no cookies if the service is at another origin. */
const credentials = 'include'

/**
 * A session whose tokens are in HttpOnly cookies. Its mark counts the refreshes of this page only, because other tabs
 * refresh the same cookies.
 */
export function createCookieSession (surroundings: Surroundings): Session {
  const { now, onSessionEnd } = surroundings
  let refreshes = 0
  let logins = 0
  /** Unknown after the page was reloaded. The client then refreshes on a 401. */
  let refreshAt = Infinity
  /** Whether the session has ended, by a refused refresh or by `logOut`. `onSessionEnd` is called once. */
  let isOver = false

  function take ({ expires_in: expiresIn }: LoginResponse): void {
    refreshes += 1
    refreshAt = now() + refreshDelay(expiresIn * 1_000)
    isOver = false
  }

  async function postJson (path: string, body: object): Promise<string> {
    return await post(surroundings, path, { headers: JSON_BODY, body: JSON.stringify(body), credentials })
  }

  /**
   * Whether another tab has refreshed the cookies. Only a request with the cookie can tell, because a message between
   * tabs may arrive too late.
   */
  async function isLive (): Promise<boolean> {
    return (await exchange(surroundings, '/users/me', { credentials })).status !== 401
  }

  return {
    async isDue () {
      return now() >= refreshAt
    },
    async mark () {
      return refreshes
    },
    async login () {
      return logins
    },
    async authenticate (request) {
      return new Request(request, { credentials })
    },
    async refresh (used) {
      if (refreshes !== used) return true
      if (now() < refreshAt && await isLive()) return true
      const outcome = await sendRefresh<LoginResponse>(surroundings, { credentials })
      if (outcome !== undefined && 'code' in outcome) {
        refreshAt = Infinity
        if (!isOver) onSessionEnd(outcome)
        isOver = true
        return false
      }
      if (outcome !== undefined) take(outcome)
      else if (now() >= refreshAt) refreshAt = now() + PAUSE
      return outcome !== undefined
    },
    async logIn (form) {
      logins += 1
      const answer = JSON.parse(await postJson('/login', form)) as LoginResponse
      take(answer)
      return { scopes: answer.scope.split(' ').filter(name => name !== '') }
    },
    async logOut (target) {
      if (target !== 'others') logins += 1
      await postJson('/logout', { target })
      if (target === 'others') return
      refreshAt = Infinity
      isOver = true
    }
  }
}
