import t from 'tap'
import type { TokenBody } from '../helper.js'
import { build, PASSWORD, postForm } from '../helper.js'
import { addClient } from './support.js'

const LOGIN = { grant_type: 'password', username: 'alice', password: PASSWORD }

function basic (id: string, secret = ''): { authorization: string } {
  return { authorization: `Basic ${Buffer.from(`${id}:${secret}`).toString('base64')}` }
}

t.test('a first-party app may name itself, in the body or with HTTP Basic, but has no secret', async t => {
  const { app } = await build(t)
  const ways: Array<[form: Record<string, string>, headers?: Record<string, string>]> = [
    [{}], [{ client_id: 'latchkey' }], [{ client_id: 'latchkey', client_secret: '' }], [{}, basic('latchkey')],
    [{ client_id: 'latchkey' }, basic('latchkey')]
  ]
  for (const [form, headers] of ways) {
    const name = JSON.stringify([form, headers])
    const login = await postForm(app, '/token', { ...LOGIN, ...form }, headers)
    t.equal(login.statusCode, 200, name)
    const { refresh_token: token } = login.json<TokenBody>()
    const refreshed = await postForm(app, '/token', { grant_type: 'refresh_token', refresh_token: token, ...form }, headers)
    t.equal(refreshed.statusCode, 200, name)
    const next = refreshed.json<TokenBody>()
    t.equal((await postForm(app, '/introspect', { token: next.access_token, ...form }, headers)).statusCode, 401, name)
    t.equal((await postForm(app, '/revoke', { token: next.refresh_token, ...form }, headers)).statusCode, 200, name)
    const own = await postForm(app, '/token', { grant_type: 'client_credentials', ...form }, headers)
    t.match([own.statusCode, own.json()], [401, { error: 'invalid_client' }], name)
  }
  const secretive = await postForm(app, '/token', { ...LOGIN, client_id: 'latchkey', client_secret: 'x' })
  t.match([secretive.statusCode, secretive.json()], [401, { error: 'invalid_client' }])
})

t.test('an unknown id, and a client with a secret that it does not send, get one answer that says what to do', async t => {
  const { app } = await build(t)
  const client = await addClient(app, { grants: ['password', 'client_credentials'] })
  for (const id of ['spa', 'Latchkey', `lkc_${'0'.repeat(32)}`, client.id, ' ', '__proto__']) {
    for (const path of ['/token', '/revoke', '/introspect']) {
      const fields = path === '/token' ? LOGIN : { token: 'x' }
      for (const response of [
        await postForm(app, path, { ...fields, client_id: id }), await postForm(app, path, fields, basic(id))
      ]) {
        t.equal(response.statusCode, 401, `${path} ${id}`)
        t.match(response.json(), { error: 'invalid_client', error_description: /client_id=latchkey without a secret/ })
        t.match(response.headers['www-authenticate'], /^Basic /)
      }
    }
  }
})

t.test('a public client logs users in without a secret, and its sessions belong to it', async t => {
  const { app } = await build(t)
  const { clients } = app.latchkey
  const [spa, other] = [
    await clients.addPublic({ name: 'spa', scopes: ['items:read', 'tokens:introspect'] }),
    await clients.addPublic({ name: 'other', scopes: ['items:read'] })
  ]
  const own = { client_id: spa.id }
  const login = await postForm(app, '/token', { ...LOGIN, ...own })
  t.match([login.statusCode, login.json()], [200, { scope: 'items:read' }])
  const { refresh_token: token, access_token: accessToken } = login.json<TokenBody>()
  t.match(JSON.parse(Buffer.from(accessToken.split('.')[1] ?? '', 'base64url').toString()), own)

  const others: Array<Record<string, string>> = [{}, { client_id: 'latchkey' }, { client_id: other.id }]
  for (const form of others) {
    const stolen = await postForm(app, '/token', { grant_type: 'refresh_token', refresh_token: token, ...form })
    t.match([stolen.statusCode, stolen.json()], [400, { error: 'invalid_grant' }], JSON.stringify(form))
    t.equal(stolen.headers['www-authenticate'], undefined, 'a challenge would hide the error from OAuth clients')
    t.equal((await postForm(app, '/revoke', { token, ...form })).statusCode, 400)
  }
  t.equal((await app.inject({ method: 'POST', url: '/refresh', payload: { refresh_token: token } })).statusCode, 401)

  const refreshed = await postForm(app, '/token', { grant_type: 'refresh_token', refresh_token: token }, basic(spa.id))
  t.equal(refreshed.statusCode, 200)
  t.equal((await postForm(app, '/introspect', { token: accessToken, ...own })).statusCode, 401, 'it proves nothing')
  const machine = await postForm(app, '/token', { grant_type: 'client_credentials', ...own })
  t.match([machine.statusCode, machine.json()], [400, { error: 'unauthorized_client' }])
  for (const secret of ['x', 'none']) {
    const secretive = await postForm(app, '/token', { ...LOGIN, ...own, client_secret: secret })
    t.match([secretive.statusCode, secretive.json()], [401, { error: 'invalid_client' }], secret)
  }
  t.equal((await postForm(app, '/revoke', { token: refreshed.json<TokenBody>().refresh_token, ...own })).statusCode, 200)
  await t.rejects(clients.rotateSecret(spa.id), { code: 'invalid_request', message: /public/ })

  const again = await postForm(app, '/token', { ...LOGIN, ...own })
  await clients.remove(spa.id)
  const headers = { authorization: `Bearer ${again.json<TokenBody>().access_token}` }
  t.equal((await app.inject({ url: '/protected-route', headers })).statusCode, 401, 'its tokens end with it')
})

t.test('POST /clients registers a public client, without a secret', async t => {
  const { app } = await build(t)
  await app.latchkey.users.add({ username: 'root', password: PASSWORD, scopes: ['clients:write'] })
  const login = await postForm(app, '/token', { ...LOGIN, username: 'root' })
  const headers = { authorization: `Bearer ${login.json<TokenBody>().access_token}` }
  const add = (payload: object) => app.inject({ method: 'POST', url: '/clients', headers, payload })
  const added = await add({ name: 'spa', scope: 'items:read', public: true })
  t.match([added.statusCode, added.json()], [201, { public: true, grants: ['password'], scope: 'items:read' }])
  t.notOk('secret' in added.json())
  const { id } = added.json<{ id: string }>()
  t.match((await app.inject({ url: `/clients/${id}`, headers })).json(), { public: true })
  const rotated = await app.inject({ method: 'POST', url: `/clients/${id}/secret`, headers })
  t.match([rotated.statusCode, rotated.json()], [400, { code: 'invalid_request', detail: /public/ }])
  const machine = await add({ name: 'spa', public: true, grants: ['client_credentials'] })
  t.match([machine.statusCode, machine.json()], [400, { code: 'invalid_request', detail: /'password'/ }])
  t.equal((await add({ name: 'spa', public: 'yes' })).statusCode, 400)
  t.match((await add({ name: 'api', public: false })).json(), { public: false, secret: /^lks_/ })
  t.equal((await add({ name: 'spa', scope: 'users:write', public: true })).statusCode, 403, 'no built-in scope')
})
