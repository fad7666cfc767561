import { createHash, randomUUID } from 'node:crypto'
import { fastify } from 'fastify'
import type { FastifyInstance } from 'fastify'
import { exportJWK, generateKeyPair, SignJWT } from 'jose'
import t from 'tap'
import type { Test } from 'tap'
import type { LatchkeyOptions } from '../../../app.js'
import { createTestClock } from '../../helper.js'
import type { TestClock } from '../../helper.js'
import { freePort } from '../../programs.js'
import { claimsOf } from '../../routes/support.js'

// A program of its own, which is compiled with the packages of test/foreign. So the compiler cannot import it here.
const example = new URL('../../../examples/oauth2-login/app.js', import.meta.url).href
const { build: buildExample } = await import(example) as {
  build (provider: object, url: string, options: LatchkeyOptions): Promise<FastifyInstance>
}

const CLIENT = { clientId: 'app', clientSecret: 'a-secret-of-the-app' }
const BASIC = `Basic ${Buffer.from(`${CLIENT.clientId}:${CLIENT.clientSecret}`).toString('base64')}`

/** What the provider puts into its next ID tokens, instead of the truth. */
type Lie = Record<string, unknown>

interface Provider {
  issuer: string
  /** How often the user was asked for the password. */
  asked (): number
  lie (claims: Lie | undefined): void
}

/** A provider of OpenID Connect whose user is ada, with a login of its own. */
async function createProvider (t: Test, clock: TestClock): Promise<Provider> {
  const issuer = `http://127.0.0.1:${await freePort()}`
  const { privateKey, publicKey } = await generateKeyPair('ES256')
  const codes = new Map<string, { challenge: string, redirectUri: string }>()
  let [lie, asked, authTime]: [Lie | undefined, number, number | undefined] = [undefined, 0, undefined]
  const now = (): number => Math.floor(clock() / 1_000)

  const app = fastify()
  t.teardown(() => app.close())
  app.addContentTypeParser('application/x-www-form-urlencoded', { parseAs: 'string' }, (_request, body, done) => {
    done(null, Object.fromEntries(new URLSearchParams(String(body))))
  })
  app.get('/.well-known/openid-configuration', async () => ({
    issuer,
    authorization_endpoint: `${issuer}/authorize`,
    token_endpoint: `${issuer}/token`,
    jwks_uri: `${issuer}/jwks`,
    code_challenge_methods_supported: ['S256']
  }))
  app.get('/jwks', async () => ({ keys: [{ ...await exportJWK(publicKey), kid: 'k', alg: 'ES256' }] }))
  app.get<{ Querystring: Record<string, string> }>('/authorize', async ({ query }, reply) => {
    const { client_id: id, redirect_uri: redirectUri = '', code_challenge: challenge = '', max_age: maxAge } = query
    if (id !== CLIENT.clientId || query.code_challenge_method !== 'S256') return reply.code(400).send()
    if (authTime === undefined || (maxAge !== undefined && now() - authTime > Number(maxAge))) {
      asked++
      authTime = now()
    }
    const code = randomUUID()
    codes.set(code, { challenge, redirectUri })
    return reply.redirect(`${redirectUri}?${new URLSearchParams({ code, state: query.state ?? '' })}`)
  })
  app.post<{ Body: Record<string, string> }>('/token', async ({ headers, body }, reply) => {
    const { code = '', code_verifier: verifier = '', redirect_uri: redirectUri } = body
    const known = codes.get(code)
    codes.delete(code)
    const isRight = headers.authorization === BASIC && known?.redirectUri === redirectUri &&
      known?.challenge === createHash('sha256').update(verifier).digest('base64url')
    if (!isRight) return reply.code(400).send({ error: 'invalid_grant' })
    const claims = {
      iss: issuer,
      sub: 'ada',
      aud: CLIENT.clientId,
      exp: Math.floor(Date.now() / 1_000) + 60,
      iat: Math.floor(Date.now() / 1_000),
      auth_time: authTime,
      amr: ['pwd', 'otp'],
      ...lie
    }
    const idToken = await new SignJWT(claims).setProtectedHeader({ alg: 'ES256', kid: 'k' }).sign(privateKey)
    return { access_token: 'opaque', token_type: 'Bearer', expires_in: 60, id_token: idToken }
  })
  await app.listen({ host: '127.0.0.1', port: Number(new URL(issuer).port) })
  return { issuer, asked: () => asked, lie (claims) { lie = claims } }
}

/** A browser: it keeps cookies, follows redirects, and says where a request comes from. */
interface Browser {
  cookies: Map<string, string>
  open (url: string, init?: RequestInit): Promise<Response>
}

function createBrowser (): Browser {
  const cookies = new Map<string, string>()
  async function open (url: string, init: RequestInit = {}, from = url): Promise<Response> {
    const isForeign = new URL(from).origin !== new URL(url).origin
    const response = await fetch(url, {
      ...init,
      redirect: 'manual',
      headers: {
        cookie: [...cookies].map(([name, value]) => `${name}=${value}`).join('; '),
        'sec-fetch-site': isForeign ? 'cross-site' : 'same-origin'
      }
    })
    for (const cookie of response.headers.getSetCookie()) {
      const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(cookie) ?? []
      if (value === '') cookies.delete(name)
      else cookies.set(name, value)
    }
    const location = response.headers.get('location')
    return location === null ? response : await open(new URL(location, url).href, {}, url)
  }
  return { cookies, open: async (url, init) => await open(url, init) }
}

async function start (t: Test): Promise<{ app: FastifyInstance, clock: TestClock, provider: Provider, url: string }> {
  const clock = createTestClock()
  const provider = await createProvider(t, clock)
  const url = `http://127.0.0.1:${await freePort()}`
  const app = await buildExample({ issuer: provider.issuer, ...CLIENT }, url, { now: clock, rateLimit: false })
  t.teardown(() => app.close())
  await app.listen({ host: '127.0.0.1', port: Number(new URL(url).port) })
  return { app, clock, provider, url }
}

t.test('RFC 9470 4: a user signs in with the provider, and again when a route requires a recent login', async t => {
  const { clock, provider, url } = await start(t)
  const { cookies, open } = createBrowser()
  const me = await open(`${url}/sign-in`)
  t.match(await me.json(), { amr: ['pwd', 'otp'] }, 'the last redirect leads to /me')
  const signedInAt = Math.floor(clock() / 1_000)
  t.match(claimsOf(cookies.get('__Host-access_token') ?? ''), { auth_time: signedInAt, amr: ['pwd', 'otp'] })

  clock.move(6 * 60_000)
  const refused = await open(`${url}/account`, { method: 'DELETE' })
  t.equal(refused.status, 401)
  const maxAge = /max_age="(\d+)"/.exec(refused.headers.get('www-authenticate') ?? '')?.[1]
  t.equal(maxAge, '300')
  await open(`${url}/sign-in`)
  t.equal(provider.asked(), 1, 'the provider has a login of its own')
  t.equal((await open(`${url}/account`, { method: 'DELETE' })).status, 401, 'which does not make this one recent')
  await open(`${url}/sign-in?max_age=${maxAge}`)
  t.equal(provider.asked(), 2)
  t.equal((await open(`${url}/account`, { method: 'DELETE' })).status, 204)
  t.equal((await open(`${url}/me`)).status, 401)
})

t.test('a provider that does not say when its user logged in gives no recent login', async t => {
  const { provider, url } = await start(t)
  provider.lie({ auth_time: undefined, amr: undefined })
  const { open } = createBrowser()
  t.match(await (await open(`${url}/sign-in`)).json(), { amr: [] })
  t.equal((await open(`${url}/account`, { method: 'DELETE' })).status, 401)
})

t.test('RFC 6749 10.12: no other site completes a sign-in, and no other ID token counts', async t => {
  const { provider, url } = await start(t)
  const { cookies, open } = createBrowser()
  for (const query of ['code=x&state=y', 'code=x', 'error=access_denied', '']) {
    t.equal((await open(`${url}/sign-in/callback?${query}`)).status, 400, query)
  }
  const past = Math.floor(Date.now() / 1_000) - 60
  for (const claims of [{ aud: 'another' }, { iss: 'https://evil.example' }, { exp: past }, { sub: undefined }]) {
    provider.lie(claims)
    t.equal((await open(`${url}/sign-in`)).status, 400, JSON.stringify(claims))
  }
  t.notOk(cookies.has('__Host-access_token'))
  for (const claims of [{ auth_time: past + 3_600 }, { auth_time: 'x' }, { amr: 'pwd' }, { amr: ['a b'] }]) {
    provider.lie(claims)
    t.equal((await open(`${url}/sign-in`)).status, 500, `${JSON.stringify(claims)}: logInAs refuses it`)
  }
  t.notOk(cookies.has('__Host-access_token'))
})
