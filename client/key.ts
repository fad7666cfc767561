import type { Session } from './session.js'

/** Requests with a personal access token. There is no session, so there is nothing to log in to or to refresh. */
export function createKeySession (key: string): Session {
  if (typeof key !== 'string' || !/^lkp_[0-9A-Za-z]+$/.test(key)) {
    throw new TypeError('The option key must be a personal access token, which begins with lkp_')
  }
  const refuse = async (): Promise<never> => {
    throw new TypeError('This client has the option key, so it neither logs in nor logs out')
  }
  return {
    isDue: async () => false,
    mark: async () => undefined,
    accessToken: async () => key,
    login: async () => undefined,
    async authenticate (request) {
      request.headers.set('authorization', `Bearer ${key}`)
      return request
    },
    refresh: async () => false,
    logIn: refuse,
    logOut: refuse
  }
}
