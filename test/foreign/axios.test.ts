import axios from 'axios'
import t from 'tap'
import { createClient } from '../../client/index.js'
import { createTestClock, PASSWORD } from '../helper.js'
import { createIssuer } from '../verifier/support.js'

// The two ways of docs/client.md to send the token with axios.

t.test('an interceptor sends a token that lasts', async t => {
  const clock = createTestClock()
  const { issuer } = await createIssuer(t, { now: clock })
  const client = createClient({ url: issuer, now: clock })
  await client.logIn({ username: 'alice', password: PASSWORD })
  const api = axios.create({ baseURL: issuer, proxy: false })
  api.interceptors.request.use(async config => {
    const token = await client.accessToken()
    if (token !== undefined) config.headers.set('authorization', `Bearer ${token}`)
    return config
  })
  for (const minutes of [0, 14.5, 14.5]) {
    clock.move(minutes * 60_000)
    t.equal((await api.get('/users/me')).data.username, 'alice')
  }
  await client.logOut()
  t.equal((await api.get('/users/me', { validateStatus: null })).status, 401)
})

t.test('the fetch adapter of axios takes the fetch of the client, which retries after a 401 too', async t => {
  const clock = createTestClock()
  const { app, issuer } = await createIssuer(t, { now: clock })
  let ended = 0
  const client = createClient({ url: issuer, now: () => 0, onSessionEnd () { ended += 1 } })
  await client.logIn({ username: 'alice', password: PASSWORD })
  const api = axios.create({ baseURL: issuer, adapter: 'fetch', env: { fetch: client.fetch } })
  clock.move(16 * 60_000)
  t.equal((await api.get('/users/me')).data.username, 'alice')
  await app.latchkey.sessions.endAll((await app.latchkey.users.findByName('alice'))?.id ?? '')
  t.equal((await api.get('/users/me', { validateStatus: null })).status, 401)
  t.equal(ended, 1)
  await t.rejects(api.get('https://evil.example/'), /must not receive the token/)
})
