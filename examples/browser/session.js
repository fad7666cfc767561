// The session behind the cookies, which no script can read: who calls finds out by the answer that it has to be refreshed.

/** One tab at a time, where the browser has locks. */
const locks = navigator.locks ?? { request: (_name, work) => work() }

/** @param {string} api - where the API is: '' for the origin of the page. */
export function createSession (api) {
  function send (path, options) {
    // At another origin the browser leaves the cookies out otherwise.
    return fetch(api + path, { ...options, credentials: 'include' })
  }

  /** Sends a request; where the access token has expired, refreshes and sends it again. */
  async function call (path, options) {
    const response = await send(path, options)
    if (response.status !== 401) return response
    // Without locks two tabs refresh at the same time, as two origins do: the service gives both the same successor.
    return await locks.request('refresh', async () => {
      // Another tab may have refreshed while this one waited. The cookie tells; `localStorage` may lag behind.
      const again = await send(path, options)
      if (again.status !== 401) return again
      const { ok } = await send('/auth/refresh', { method: 'POST' })
      return ok ? await send(path, options) : again
    })
  }

  function logIn (username, password) {
    return send('/auth/login', { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ username, password }) })
  }

  function logOut () {
    return send('/auth/logout', { method: 'POST' })
  }

  return { call, logIn, logOut }
}
