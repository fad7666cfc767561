import { createPublicKey, verify } from 'node:crypto'
import type { JsonWebKey } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import t from 'tap'
import type { FastifyInstance } from 'fastify'
import { bearer, build, createTestClock, logIn, PASSWORD, postForm } from '../helper.js'
import type { TokenBody } from '../helper.js'
import { signWithSecret } from '../lib/support.js'
import { JWKS_MAX_AGE } from '../../lib/keys/life.js'
import { claimsOf, cryptoOf, databaseFile, headerOf, listen, query, SECRET } from '../routes/support.js'
import { settle } from './purge-timers.js'

const HOUR = 60 * 60_000

/** One that the environment can give: commas separate there. */
const PLAIN_SECRET = 'a secret of the tests of more than 32 bytes'

interface Jwks { keys: Array<JsonWebKey & { kid: string, alg: string }> }

/** What somebody does who has nothing but the published keys. */
function verifiesAgainst ({ keys }: Jwks, token: string): boolean {
  const jwk = keys.find(({ kid }) => kid === headerOf(token).kid)
  if (jwk === undefined) return false
  const [header, payload, signature = ''] = token.split('.')
  const { digest, options } = cryptoOf(jwk.alg)
  return verify(
    digest, Buffer.from(`${header}.${payload}`), { key: createPublicKey({ key: jwk, format: 'jwk' }), ...options },
    Buffer.from(signature, 'base64url')
  )
}

t.test('ten rotations under load, some by another process: no request fails, and every token verifies against the keys that were published when it was made, and one max-age before', async t => {
  const directory = t.testdir({})
  const file = `${directory}/auth.db`
  const clock = createTestClock()
  const options = { database: file, secret: PLAIN_SECRET, now: clock, accessTokenTtl: '1h' }
  const { app } = await build(t, options)
  const { app: second } = await build(t, options)
  const origins = [await listen(app), await listen(second)]

  /** The published keys with the moment at which they were read, the newest last. */
  const published: Array<{ at: number, jwks: Jwks }> = []
  const readJwks = async (origin: string): Promise<Jwks> => await (await fetch(
    `${origin}/.well-known/jwks.json`
  )).json() as Jwks
  async function publish (): Promise<void> {
    const at = clock()
    published.push({ at, jwks: await readJwks(origins[0] as string) })
  }
  await publish()
  clock.move(JWKS_MAX_AGE * 1000)

  const failures: string[] = []
  const signers = new Set<unknown>()
  const load = { requests: 0, stopped: false }

  async function call (
    path: string,
    { method = 'POST', headers = {}, form, expected = 200 }: {
      method?: string, headers?: Record<string, string>, form?: Record<string, string>, expected?: number
    }
  ): Promise<unknown> {
    const origin = origins[load.requests++ % origins.length] as string
    const response = await fetch(
      origin + path, { method, headers, body: form === undefined ? undefined : new URLSearchParams(form) }
    )
    const text = await response.text()
    if (response.status !== expected) failures.push(`${method} ${path}: ${response.status} ${text}`)
    return text === '' ? undefined : JSON.parse(text)
  }

  async function check ({ access_token: token }: TokenBody): Promise<void> {
    signers.add(headerOf(token).kid)
    // The oldest keys that a verifier may still go by who meets the token now.
    const latest = clock() - JWKS_MAX_AGE * 1000
    const before = published.findLast(({ at }) => at <= latest)
    if (before === undefined || !verifiesAgainst(before.jwks, token)) {
      failures.push(
        'a token whose key was not published one max-age before'
      )
    }
    if (!verifiesAgainst(
      await readJwks(origins[load.requests % 2] as string), token
    )) failures.push('a token whose key is not published')
  }

  async function work (username: string): Promise<void> {
    while (!load.stopped) {
      const tokens = await call(
        '/token', { form: { grant_type: 'password', username, password: PASSWORD } }
      ) as TokenBody
      await check(tokens)
      await call('/protected-route', { method: 'GET', headers: bearer(tokens.access_token) })
      const next = await call(
        '/token', { form: { grant_type: 'refresh_token', refresh_token: tokens.refresh_token } }
      ) as TokenBody
      await check(next)
      for (const { access_token: token } of [tokens, next]) {
        await call(
          '/protected-route', { method: 'GET', headers: bearer(token) }
        )
      }
      await call('/revoke', { form: { token: next.access_token } })
      await call('/protected-route', { method: 'GET', headers: bearer(next.access_token), expected: 401 })
    }
  }

  const workers = ['alice', 'bob', 'alice', 'bob'].map(work)
  for (let rotation = 0; rotation < 10; rotation++) {
    // The key before has its turn.
    while (signers.size <= rotation) await delay(5)
    if (rotation % 3 !== 1) {
      await app.latchkey.keys.rotate()
    } else {
      await second.latchkey.keys.rotate()
    }
    await publish()
    // Time passes in steps, as it does, and there is work in each.
    const pending = (await app.latchkey.keys.list()).find(({ state }) => state === 'pending')
    const half = Math.ceil(((pending?.activatesAt ?? 0) - clock()) / 2)
    for (const step of [half, half - 1, 2]) {
      clock.move(step)
      await publish()
      // Each of the four has begun and ended something since.
      const enough = load.requests + 12
      while (load.requests < enough) await delay(2)
    }
  }
  while (signers.size <= 10) await delay(5)
  load.stopped = true
  await Promise.all(workers)
  t.strictSame(failures.slice(0, 5), [])
  t.strictSame(
    [...signers].sort(), (await app.latchkey.keys.list()).map(({ kid }) => kid).sort(), 'each of the eleven has signed'
  )
  t.ok(load.requests > 200, `${load.requests} requests`)
  t.equal((await app.latchkey.keys.list()).filter(({ state }) => state === 'active').length, 1)
})

t.test('the JWKS: a pending key is in it at both processes, a revoked one in none', async t => {
  const file = databaseFile(t)
  const options = { database: file, secret: SECRET, now: createTestClock() }
  const { app: one } = await build(t, options)
  const { app: two } = await build(t, options)
  const kids = async (app: FastifyInstance): Promise<string[]> => ((await app.inject({
    url: '/.well-known/jwks.json'
  })).json() as Jwks).keys.map(({ kid }) => kid)
  const [first = ''] = await kids(one)
  const { key } = await one.latchkey.keys.rotate()
  for (const app of [one, two]) t.strictSame((await kids(app)).sort(), [first, key.kid].sort())
  t.equal(
    (await two.inject({ url: '/.well-known/jwks.json' })).headers['cache-control'], `public, max-age=${JWKS_MAX_AGE}`
  )

  const tokens = await logIn(two)
  await one.latchkey.keys.revoke(first)
  for (const app of [one, two]) {
    t.strictSame(await kids(app), [key.kid])
    t.equal((await app.inject({ url: '/protected-route', headers: bearer(tokens.access_token) })).statusCode, 401)
  }
  const next = (await postForm(
    two, '/token', { grant_type: 'refresh_token', refresh_token: tokens.refresh_token }
  )).json()
  t.equal(
    (await one.inject({ url: '/protected-route', headers: bearer(next.access_token) })).statusCode, 200,
    'the session lives on'
  )
})

t.test('a service that starts with a key that is too old replaces it; keyRotation never does not', async t => {
  const file = databaseFile(t)
  const clock = createTestClock()
  const options = { database: file, secret: SECRET, now: clock }
  const { app } = await build(t, options)
  await app.close()
  clock.move(91 * 24 * HOUR)
  const states = async (
    app: FastifyInstance
  ): Promise<string[]> => (await app.latchkey.keys.list()).map(({ state }) => state)
  const { app: never } = await build(t, { ...options, keyRotation: 'never' })
  t.strictSame(await states(never), ['active'])
  const { app: later } = await build(t, { ...options, keyRotation: '92d' })
  t.strictSame(await states(later), ['active'])
  const { app: unsure } = await build(t, options)
  t.strictSame(await states(unsure), ['active'], 'the clock may be wrong')
  settle(file, clock())
  const { app: old } = await build(t, options)
  t.strictSame(await states(old), ['active', 'pending'])
  for (const keyRotation of ['0d', '59m', '1s', 'always', '', 5]) {
    await t.rejects(
      build(t, { keyRotation } as object),
      /^Latchkey: the option keyRotation \(LATCHKEY_KEY_ROTATION\) is .*: it must be a duration such as 12h or 90d, at least 1h, or 'never'$/,
      JSON.stringify(keyRotation)
    )
  }
})

t.test('an older system\'s token at our routes: a user, and no session', async t => {
  const file = databaseFile(t)
  const { app, clock } = await build(t, { database: file, secret: SECRET })
  const old = 'the secret of an older system, which it keeps'
  await app.latchkey.keys.importVerifyOnlyKey(Buffer.from(old), { algorithm: 'HS256', issuer: 'old' })
  const { access_token: own } = await logIn(app)
  const id = String(claimsOf(own).sub)
  const now = Math.floor(clock() / 1000)
  const standard = { iss: 'old', sub: id, iat: now - 5, exp: now + 3_600, scope: 'items:read admin' }
  const make = (claims: object = {}): string => signWithSecret(old, { ...standard, ...claims })
  const call = async (
    token: string, url = '/protected-route'
  ): Promise<number> => (await app.inject({ url, headers: bearer(token) })).statusCode
  const token = make()
  t.equal(await call(token), 200)
  t.equal(await call(token, '/admin/'), 200)
  t.equal(await call(make({ scope: '' }), '/admin/'), 403)
  t.match((await app.inject({ url: '/sessions', headers: bearer(token) })).json().sessions, [{ current: false }])

  t.equal((await postForm(app, '/revoke', { token })).statusCode, 200)
  t.equal(await call(token), 401, 'revoked')
  const another = make({ n: 1 })
  t.equal((await app.inject({ method: 'POST', url: '/logout', headers: bearer(another) })).statusCode, 204)
  t.equal(await call(another), 401, 'logged out: that token')
  t.equal(await call(own), 200, 'and no session')
  const third = make({ n: 2 })
  t.equal(
    (await app.inject({
      method: 'POST', url: '/logout', headers: bearer(third), payload: { target: 'others' }
    })).statusCode,
    204
  )
  t.equal(await call(own), 401, 'all sessions are others')
  t.equal(await call(third), 200)
  const changed = await app.inject({
    method: 'PUT',
    url: '/users/me/password',
    headers: bearer(third),
    payload: { current_password: PASSWORD, new_password: 'another walrus cobalt lantern' }
  })
  t.equal(changed.statusCode, 204)
  t.equal(await call(third), 401, 'after a change of the password nothing of before is alive')
  t.equal(query(file, 'select * from latchkey_sessions where ended_at is null').length, 0)
})
