import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { once } from 'node:events'
import t from 'tap'
import type { Test } from 'tap'
import type { FastifyInstance } from 'fastify'
import { buildService, PASSWORD, startApi } from '../../examples/verifier/demo.js'
import { build } from '../../examples/verifier/server.js'
import { testOptions, withTestKit } from '../../testing/index.js'
import { bearer } from '../helper.js'

// Two processes, real sockets, and no clock but that of the machine.

t.setTimeout(120_000)

/** Milliseconds: the default of `revocationBound`. */
const BOUND = 1_000

async function start (t: Test): Promise<{ service: FastifyInstance, issuer: string, api: string }> {
  // The issuer must be known before the service listens.
  const probe = createServer().listen(0, '127.0.0.1')
  await once(probe, 'listening')
  const { port } = probe.address() as AddressInfo
  probe.close()
  await once(probe, 'close')
  const issuer = `http://127.0.0.1:${port}`
  const { service, client } = await buildService({ ...testOptions, issuer })
  t.teardown(() => service.close())
  await service.listen({ host: '127.0.0.1', port })
  const { url, child } = await startApi({ issuer, client, port: 0 })
  t.teardown(() => child.kill())
  t.not(child.pid, process.pid)
  return { service, issuer, api: url }
}

async function logIn (issuer: string): Promise<string> {
  const body = new URLSearchParams({ username: 'alice', password: PASSWORD })
  const { access_token: token } = await (await fetch(
    `${issuer}/token`, { method: 'POST', body }
  )).json() as { access_token: string }
  return token
}

interface Answer { status: number, challenge: string | null, body: Record<string, unknown> }

async function call (api: string, token?: string, path = '/items'): Promise<Answer> {
  const response = await fetch(api + path, { headers: token === undefined ? {} : bearer(token) })
  return {
    status: response.status,
    challenge: response.headers.get('www-authenticate'),
    body: await response.json() as Record<string, unknown>
  }
}

/** The first answer that is not 200, and how long after `since` the last request was sent that got one. */
async function firstRefusal (ask: () => Promise<Answer>, since: number): Promise<{ refusal: Answer, lastYes: number }> {
  let lastYes = -Infinity
  for (;;) {
    const sent = performance.now()
    const answer = await ask()
    if (answer.status !== 200) return { refusal: answer, lastYes }
    lastYes = sent - since
  }
}

t.test('log in at the service, call the API, revoke at the service: the API refuses within the bound', async t => {
  const { service, issuer, api } = await start(t)
  const alice = await service.latchkey.users.findByName('alice')
  const [token, other] = [await logIn(issuer), await logIn(issuer)]
  t.match(await call(api, token), { status: 200, body: { owner: alice?.id, items: ['lamp'] } })
  t.match(await call(api, token, '/me'), { status: 200, body: { id: alice?.id, scopes: ['items:read'] } })
  t.match(await call(api), { status: 401, challenge: 'Bearer' })
  t.match(await call(api, `${token}x`), { status: 401, challenge: /error="invalid_token"/ })
  t.match(
    await call(api, await withTestKit(service).createTestToken({ scopes: [] })),
    { status: 403, challenge: /error="insufficient_scope".*scope="items:read"/ }
  )

  const revoked = await fetch(`${issuer}/revoke`, { method: 'POST', body: new URLSearchParams({ token }) })
  const acknowledged = performance.now()
  t.equal(revoked.status, 200)
  const { refusal, lastYes } = await firstRefusal(() => call(api, token), acknowledged)
  t.match(refusal, { status: 401, challenge: /error="invalid_token"/, body: { code: 'token_revoked' } })
  t.ok(lastYes <= BOUND, `the last yes was ${lastYes} ms after the acknowledgement`)
  t.match(await call(api, other), { status: 200 }, 'another session goes on')
})

t.test('without the service the API refuses after the bound, and says that it does not know', async t => {
  const { service, issuer, api } = await start(t)
  const token = await logIn(issuer)
  t.match(await call(api, token), { status: 200 })
  await service.close()
  const { refusal, lastYes } = await firstRefusal(() => call(api, token), performance.now())
  t.match(
    refusal, { status: 503, challenge: null, body: { code: 'revocation_unknown' } },
    'no challenge: the token may be good'
  )
  t.ok(lastYes <= BOUND, `the last yes was ${lastYes} ms after the service had closed`)
})

t.test('a misspelt scope stops the boot, and with a wrong secret nobody gets in', async t => {
  const { issuer } = await start(t)
  const app = await build({
    issuer, audience: 'https://items.example.com', clientId: 'lkc_nobody', clientSecret: 'wrong'
  })
  t.teardown(() => app.close())
  t.throws(() => app.requireScopes('itms:read'), /Unknown scope 'itms:read'/)
  const response = await app.inject({ url: '/items', headers: bearer(await logIn(issuer)) })
  t.equal(response.statusCode, 503)
  t.notMatch(response.body, /nobody|wrong/)
})
