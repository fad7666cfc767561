import t from 'tap'
import type { User } from '../../app.js'
import { bearer, build, postForm } from '../helper.js'
import type { TokenBody } from '../helper.js'

const MALLORY: User = { id: 'm', username: 'mallory', scopes: ['admin', 'items:read'] }

t.test('what the host gives must be a user: nothing else becomes one, and no text becomes a right', async t => {
  const odd: unknown[] = [
    'm', 42, true, [], {},
    { ...MALLORY, id: 42 }, { ...MALLORY, id: '' }, { ...MALLORY, username: undefined },
    { ...MALLORY, scopes: 'users:read-only' }, {
      ...MALLORY, scopes: ['users:read admin']
    }, { ...MALLORY, scopes: [1] }, { ...MALLORY, scopes: undefined }
  ]
  for (const user of odd) {
    const directory = { authenticate: async () => user as User, find: async () => user as User }
    const { app } = await build(t, { users: directory })
    const response = await postForm(app, '/token', { username: 'mallory', password: 'x', scope: 'users:read' })
    t.equal(response.statusCode, 500, JSON.stringify(user))
    t.same(response.json(), { error: 'server_error', error_description: 'Something went wrong on the server.' })
  }
})

t.test('a revocation that is acknowledged while the host is asked kills what is made of its old answer', async t => {
  let whileAsked: () => Promise<void> = async () => {}
  const answer = async (): Promise<User> => {
    await whileAsked()
    return MALLORY
  }
  const { app } = await build(t, { users: { authenticate: answer, find: answer } })
  const statusOf = async (token: string): Promise<number> => (await app.inject({
    url: '/admin/', headers: bearer(token)
  })).statusCode

  const before = (await postForm(app, '/token', { username: 'mallory', password: 'x' })).json<TokenBody>()
  whileAsked = async () => { await app.latchkey.revocations.revokeUser('m') }
  const refreshed = (await postForm(
    app, '/token', { grant_type: 'refresh_token', refresh_token: before.refresh_token }
  )).json<TokenBody>()
  t.equal(await statusOf(before.access_token), 401)
  t.equal(await statusOf(refreshed.access_token), 401, 'refresh')
  const login = (await postForm(app, '/token', { username: 'mallory', password: 'x' })).json<TokenBody>()
  t.equal(await statusOf(login.access_token), 401, 'login')
  whileAsked = async () => {}
  const after = (await postForm(app, '/token', { username: 'mallory', password: 'x' })).json<TokenBody>()
  t.equal(await statusOf(after.access_token), 200, 'what is asked for afterwards lives')
})

t.test('a claims hook that fails costs the client nothing, and tells it nothing', async t => {
  let fails = false
  const claims = (): Record<string, unknown> => {
    if (fails) throw Object.assign(new Error('tenant db at 10.0.0.7 refused'), { statusCode: 422 })
    return { tenant: 1 }
  }
  const { app, clock } = await build(t, { claims })
  const tokens = (await postForm(
    app, '/token', { username: 'alice', password: 'marble otter sings at noon' }
  )).json<TokenBody>()
  fails = true
  const failed = await postForm(app, '/token', { grant_type: 'refresh_token', refresh_token: tokens.refresh_token })
  t.equal(failed.statusCode, 500)
  t.notMatch(failed.body, /tenant/)
  fails = false
  clock.move(11_000)
  const retried = await postForm(app, '/token', { grant_type: 'refresh_token', refresh_token: tokens.refresh_token })
  t.equal(retried.statusCode, 200, 'also after the grace: nothing was rotated')
})
