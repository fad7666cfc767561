import { createPublicKey, verify } from 'node:crypto'
import t from 'tap'
import type { FastifyInstance, LightMyRequestResponse } from 'fastify'
import { decodeStatusList } from '../../lib/status-lists/codec.js'
import type { EncodedStatusList } from '../../lib/status-lists/codec.js'
import { bearer, build, logIn, PASSWORD, postForm } from '../helper.js'
import {
  addClient, assertProblem, buildHost, claimsOf, cryptoOf, databaseFile, headerOf, query, SECRET
} from './support.js'
import { revokeToken } from '../revoke-token.js'

const ISSUER = 'https://auth.example.com'
const ON = { statusList: true, issuer: ISSUER }
const SIZE = 2 ** 17

interface Reference {
  idx: number
  uri: string
}

function referenceOf (token: string): Reference {
  const { status } = claimsOf(token) as { status: { status_list: Reference } }
  return status.status_list
}

const read = (
  app: FastifyInstance, { uri }: Reference, headers: Record<string, string> = {}
): Promise<LightMyRequestResponse> => app.inject({ url: new URL(uri).pathname, headers })

/** The bit of a token, in the list as it is now. */
async function statusOf (app: FastifyInstance, token: string): Promise<number> {
  const response = await read(app, referenceOf(token))
  if (response.statusCode !== 200) throw new Error(`The list is not there: ${response.statusCode} ${response.body}`)
  const { status_list: list } = claimsOf(response.body) as { status_list: EncodedStatusList }
  return decodeStatusList(list, SIZE).get(referenceOf(token).idx)
}

t.test('without the option there are no lists, and no token speaks of one', async t => {
  const { app } = await build(t)
  t.notOk('status' in claimsOf((await logIn(app)).access_token))
  t.equal((await app.inject('/status-lists/01890a5d-ac96-774b-bcce-b302099a8057')).statusCode, 404)
})

t.test('tokens of sessions say where their status is: with a prefix, after a refresh, by cookie; a machine has no session and no status', async t => {
  const { app } = await build(
    t, { ...ON, prefix: '/auth', claims: () => ({ status: { status_list: { idx: 0, uri: 'https://evil.example/' } } }) }
  )
  const tokens = (await postForm(
    app, '/auth/token', { grant_type: 'password', username: 'alice', password: PASSWORD }
  )).json()
  const { status } = claimsOf(tokens.access_token) as { status: { status_list: Reference } }
  t.strictSame(Object.keys(status), ['status_list'])
  t.strictSame(Object.keys(status.status_list).sort(), ['idx', 'uri'])
  t.match(
    status.status_list.uri, /^https:\/\/auth\.example\.com\/auth\/status-lists\/[0-9a-f-]{36}$/,
    'where the route is, whatever the host claims'
  )
  const refreshed = (await postForm(
    app, '/auth/token', { grant_type: 'refresh_token', refresh_token: tokens.refresh_token }
  )).json()
  t.strictSame(claimsOf(refreshed.access_token).status, status)
  t.equal(await statusOf(app, refreshed.access_token), 0)
  t.equal((await app.inject({ url: '/protected-route', headers: bearer(refreshed.access_token) })).statusCode, 200)

  const { basic } = await addClient(app)
  const machine = (await postForm(app, '/auth/token', { grant_type: 'client_credentials' }, basic)).json()
  t.notOk('status' in claimsOf(machine.access_token), 'and none that the host made up')
})

for (const algorithm of ['ES256', 'EdDSA', 'PS256', 'RS256'] as const) {
  t.test(`the list is a Status List Token, signed as access tokens are, and is no access token: ${algorithm}`, async t => {
    const { app, clock } = await build(t, { ...ON, algorithm })
    const { access_token: token } = await logIn(app)
    const reference = referenceOf(token)
    const response = await read(app, reference, { accept: 'application/statuslist+jwt' })
    t.equal(response.statusCode, 200)
    t.equal(response.headers['content-type'], 'application/statuslist+jwt')
    t.equal(response.headers['cache-control'], 'public, no-cache')
    const list = response.body
    t.strictSame(headerOf(list), { alg: algorithm, typ: 'statuslist+jwt', kid: headerOf(token).kid })
    const claims = claimsOf(list)
    const now = Math.floor(clock() / 1000)
    t.strictSame(Object.keys(claims).sort(), ['exp', 'iat', 'status_list', 'sub', 'ttl'])
    t.match(claims, { sub: reference.uri, iat: now, exp: now + 300, ttl: 30, status_list: { bits: 1 } })
    t.equal(decodeStatusList(claims.status_list as EncodedStatusList, SIZE).size, SIZE)

    const { keys } = (await app.inject('/.well-known/jwks.json')).json()
    const [header, payload, signature = ''] = list.split('.')
    const { digest, options } = cryptoOf(algorithm)
    t.ok(verify(
      digest, Buffer.from(`${header}.${payload}`),
      { key: createPublicKey({ key: keys[0], format: 'jwk' }), ...options }, Buffer.from(signature, 'base64url')
    ))

    // RFC 8725 section 3.11: one key, two types, and neither passes for the other.
    const refused = await app.inject({ url: '/protected-route', headers: bearer(list) })
    t.equal(refused.statusCode, 401)
    t.match(refused.headers['www-authenticate'], /error="invalid_token"/)
    const { basic } = await addClient(app)
    t.strictSame((await postForm(app, '/introspect', { token: list }, basic)).json(), { active: false })
    t.equal(headerOf(token).typ, 'at+jwt', 'signing a list has left the type of access tokens')
    t.equal(headerOf((await logIn(app)).access_token).typ, 'at+jwt')
  })
}

t.test('whatever ends a session is in the list at once, and nothing else is', async t => {
  const { app } = await build(t, ON)
  const { users, sessions } = app.latchkey
  const alice = await users.findByName('alice')
  if (alice === null) throw new Error('no alice')
  const bystander = await logIn(app, 'bob')

  const ways: Record<string, (tokens: { access_token: string, refresh_token: string }) => Promise<unknown>> = {
    logout: tokens => app.inject({ method: 'POST', url: '/logout', headers: bearer(tokens.access_token) }),
    'revoking the refresh token': tokens => postForm(app, '/revoke', { token: tokens.refresh_token }),
    'all sessions': () => sessions.endAll(alice.id),
    'reuse of a refresh token': async tokens => {
      const next = (await postForm(
        app, '/token', { grant_type: 'refresh_token', refresh_token: tokens.refresh_token }
      )).json()
      await postForm(app, '/token', { grant_type: 'refresh_token', refresh_token: next.refresh_token })
      await postForm(app, '/token', { grant_type: 'refresh_token', refresh_token: tokens.refresh_token })
    },
    'another password': () => users.setPassword(alice.id, PASSWORD),
    'a disabled account': async () => {
      await users.disable(alice.id)
      await users.enable(alice.id)
    },
    'a removed account': () => users.remove(alice.id)
  }
  for (const [way, end] of Object.entries(ways)) {
    const tokens = await logIn(app)
    t.equal(await statusOf(app, tokens.access_token), 0, `before ${way}`)
    await end(tokens)
    t.equal(await statusOf(app, tokens.access_token), 1, way)
    t.equal(
      (await app.inject({ url: '/protected-route', headers: bearer(tokens.access_token) })).statusCode, 401,
      `${way}: as here`
    )
  }
  t.equal(await statusOf(app, bystander.access_token), 0)
  const response = await read(app, referenceOf(bystander.access_token))
  const list = decodeStatusList((claimsOf(response.body) as { status_list: EncodedStatusList }).status_list, SIZE)
  let ended = 0
  for (let index = 0; index < SIZE; index++) ended += list.get(index)
  t.equal(ended, Object.keys(ways).length, 'one bit each')
})

t.test('what a list cannot say: a single token that was revoked, and the tokens of a user whose sessions go on', async t => {
  const { app } = await build(t, ON)
  const { access_token: token } = await logIn(app)
  await postForm(app, '/revoke', { token })
  t.equal((await app.inject({ url: '/protected-route', headers: bearer(token) })).statusCode, 401)
  t.equal(await statusOf(app, token), 0, 'the other tokens of the session live')
  const bob = await app.latchkey.users.findByName('bob')
  const other = await logIn(app, 'bob')
  await app.latchkey.revocations.revokeUser(bob?.id ?? '')
  t.equal((await app.inject({ url: '/protected-route', headers: bearer(other.access_token) })).statusCode, 401)
  t.equal(await statusOf(app, other.access_token), 0)
})

t.test('a session that has expired is not called ended: its access token lives until exp here and there', async t => {
  const { app, clock } = await build(t, { ...ON, sessionTtl: '1m', refreshIdleTtl: '1m' })
  const { access_token: token } = await logIn(app)
  clock.move(120_000)
  t.equal((await app.inject({ url: '/protected-route', headers: bearer(token) })).statusCode, 200)
  t.equal(await statusOf(app, token), 0)
  await app.inject({ method: 'POST', url: '/logout', headers: bearer(token) })
  t.equal(await statusOf(app, token), 1, 'ended after it has expired')
})

t.test('a list is made once for each change: the same until somebody of it ends, and 304 for whoever has it', async t => {
  const { app } = await build(t, ON)
  const { access_token: token } = await logIn(app)
  const reference = referenceOf(token)
  const first = await read(app, reference)
  const etag = String(first.headers.etag)
  t.match(etag, /^"[\w-]{43}"$/)
  await logIn(app, 'bob')
  const machine = await addClient(app)
  await app.latchkey.clients.remove(machine.id)
  await revokeToken(app.latchkey.revocations, 'somebody', Date.now() + 60_000)
  t.equal((await read(app, reference)).body, first.body, 'not one more signature for logins and other rules')

  for (const header of [etag, `W/${etag}`, `"x", ${etag}`, '*']) {
    const response = await read(app, reference, { 'if-none-match': header })
    t.equal(response.statusCode, 304, header)
    t.equal(response.body, '')
    t.equal(response.headers.etag, etag)
    t.equal(response.headers['cache-control'], 'public, no-cache')
  }
  for (const header of ['"x"', etag.slice(1, -1), '']) {
    t.equal(
      (await read(app, reference, { 'if-none-match': header })).statusCode, 200, header
    )
  }

  await app.inject({ method: 'POST', url: '/logout', headers: bearer(token) })
  const after = await read(app, reference, { 'if-none-match': etag })
  t.equal(after.statusCode, 200)
  t.not(after.headers.etag, etag)
})

t.test('many at once get one list, made once, with what had ended before they asked', async t => {
  const { app } = await build(t, ON)
  const { access_token: token } = await logIn(app)
  const reference = referenceOf(token)
  for (let round = 0; round < 5; round++) {
    const { access_token: another } = await logIn(app)
    await app.inject({ method: 'POST', url: '/logout', headers: bearer(another) })
    const answers = await Promise.all(Array.from({ length: 30 }, () => read(app, reference)))
    t.equal(new Set(answers.map(({ body }) => body)).size, 1)
    const { status_list: list } = claimsOf(answers[0]?.body ?? '') as { status_list: EncodedStatusList }
    t.equal(decodeStatusList(list, SIZE).get(referenceOf(another).idx), 1)
  }
})

t.test('a list that does not change is signed anew before its time is up', async t => {
  const { app, clock } = await build(t, ON)
  const reference = referenceOf((await logIn(app)).access_token)
  const first = (await read(app, reference)).body
  clock.move(149_000)
  t.equal((await read(app, reference)).body, first)
  clock.move(2_000)
  const second = (await read(app, reference)).body
  t.not(second, first)
  t.equal(claimsOf(second).exp, Math.floor(clock() / 1000) + 300)
  t.strictSame(claimsOf(second).status_list, claimsOf(first).status_list)
})

t.test('when the key that signed it is revoked, the list is signed with the next one', async t => {
  const { app } = await build(t, ON)
  const reference = referenceOf((await logIn(app)).access_token)
  const first = (await read(app, reference)).body
  await app.latchkey.keys.revoke(String(headerOf(first).kid))
  const second = (await read(app, reference)).body
  t.not(headerOf(second).kid, headerOf(first).kid)
  const { keys } = (await app.inject('/.well-known/jwks.json')).json()
  t.strictSame(keys.map((key: { kid: string }) => key.kid), [headerOf(second).kid])
})

t.test('what another process on the same database ends is in the list of this one at once', async t => {
  const options = { ...ON, database: databaseFile(t), secret: SECRET }
  const { app: here } = await build(t, options)
  const { app: there } = await build(t, options)
  const { access_token: token } = await logIn(here)
  t.equal(await statusOf(here, token), 0)
  t.equal(await statusOf(there, token), 0)
  await there.inject({ method: 'POST', url: '/logout', headers: bearer(token) })
  t.equal(await statusOf(here, token), 1)
  t.equal(await statusOf(there, token), 1)
  const { app: later } = await build(t, options)
  t.equal(await statusOf(later, token), 1, 'and in that of one that starts afterwards')
})

t.test('thousands that end in one millisecond are all in it', async t => {
  const file = databaseFile(t)
  const { app } = await build(t, { ...ON, database: file, secret: SECRET })
  const { access_token: token } = await logIn(app)
  const { idx } = referenceOf(token)
  const user = claimsOf(token).sub
  // 2,500 copies of the row beside it, in the places that are free.
  query(file, `with recursive n(i) as (select 0 union all select i + 1 from n where i < 2500)
    insert into latchkey_sessions select 'copy ' || i, user_id, client_id, scope, nonce, generation, rotated_at, seen_generation, created_at, last_used_at, idle_expires_at, expires_at, ended_at, end_reason, auth_time, amr, user_agent, address, account, network, status_list, i
    from latchkey_sessions, n where i <> ${idx}`)
  t.equal(await statusOf(app, token), 0)
  await app.latchkey.sessions.endAll(String(user))
  const response = await read(app, referenceOf(token))
  const list = decodeStatusList((claimsOf(response.body) as { status_list: EncodedStatusList }).status_list, SIZE)
  t.equal(Array.from({ length: 2_501 }, (_, index) => list.get(index)).filter(status => status === 1).length, 2_501)
  t.equal(list.get(idx), 1)
  t.equal(list.get(idx === 5_000 ? 5_001 : 5_000), 0)
})

t.test('there is no list of another name, and none of another time', async t => {
  const { app } = await build(t, ON)
  const { uri } = referenceOf((await logIn(app)).access_token)
  const path = new URL(uri).pathname
  for (const url of [
    `${path}x`, path.toUpperCase().replace('/STATUS-LISTS', '/status-lists'),
    '/status-lists/01890a5d-ac96-774b-bcce-b302099a8057', '/status-lists/%00', "/status-lists/'",
    '/status-lists/__proto__'
  ]) {
    assertProblem(t, await app.inject({ url }), 404, 'not_found', url)
  }
  t.equal((await app.inject({ url: '/status-lists' })).statusCode, 404)
  t.equal((await app.inject({ url: `/status-lists/${'a'.repeat(5_000)}` })).statusCode, 414)
  assertProblem(t, await app.inject({ url: `${path}?time=1686925000` }), 501, 'history_not_kept')
  for (const query of ['time=1&time=2', 'time=', 'time=x', 'time=-1', 'time=1e3', 'time=1.5']) {
    assertProblem(
      t, await app.inject({ url: `${path}?${query}` }), 400, 'invalid_request', query
    )
  }
  t.equal((await app.inject({ url: `${path}?other=1` })).statusCode, 200)
  t.equal((await app.inject({ method: 'HEAD', url: path })).statusCode, 200)
})

t.test('a list of which all sessions were purged is gone, also where it was held in memory', async t => {
  const { app, clock } = await build(t, { ...ON, refreshIdleTtl: '1h' })
  const reference = referenceOf((await logIn(app)).access_token)
  t.equal((await read(app, reference)).statusCode, 200)
  clock.move(3 * 86_400_000)
  await app.latchkey.sessions.purge(100, clock())
  assertProblem(t, await read(app, reference), 404, 'not_found')
  const next = referenceOf((await logIn(app)).access_token)
  t.not(next.uri, reference.uri)
  t.equal((await read(app, next)).statusCode, 200)
})

t.test('where it cannot be told what has ended, the answer is 503 and never an old list', async t => {
  const { app, store } = await buildHost(t, ON, () => {})
  const reference = referenceOf((await logIn(app)).access_token)
  t.equal((await read(app, reference)).statusCode, 200)
  const { changed } = store
  store.changed = () => { throw new Error('the disk is gone') }
  const response = await read(app, reference)
  assertProblem(t, response, 503, 'revocation_unknown')
  t.equal(response.headers['cache-control'] === 'public, no-cache', false)
  t.equal(response.headers['retry-after'], '1')
  store.changed = changed
  t.equal((await read(app, reference)).statusCode, 200)
})
