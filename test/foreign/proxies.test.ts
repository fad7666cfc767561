import { createServer } from 'node:http'
import type { IncomingHttpHeaders } from 'node:http'
import type { AddressInfo } from 'node:net'
import t from 'tap'
import type { Test } from 'tap'
import { bearer, PASSWORD } from '../helper.js'
import { blockOf, PROXIES, skipWithout, startProxy } from '../proxies.js'
import { serve } from './support.js'

// nginx and Caddy with the configuration that the pages show, in front of a service and of a program without code for
// tokens.

t.setTimeout(120_000)

/** A program that answers with the headers that it gets. */
async function createProgram (t: Test): Promise<string> {
  const server = createServer((request, response) => {
    request.resume().on('end', () => response.end(JSON.stringify(request.headers)))
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => { server.close() })
  return `127.0.0.1:${(server.address() as AddressInfo).port}`
}

for (const name of ['nginx', 'caddy'] as const) {
  const proxy = PROXIES[name]
  const skip = skipWithout(proxy)

  t.test(`${name} protects a program with GET /verify`, { skip }, async t => {
    const { app, issuer } = await serve(t, {
      prefix: '/auth',
      forwardAuth: true,
      cookies: { secure: false },
      scopes: { admin: 'Administer', 'items:read': 'Read items', 'reports:read': 'Read reports' }
    })
    const program = await createProgram(t)
    const block = await blockOf('protect-other-programs.md', name, 'reports:read')
    const configuration = block.replaceAll('127.0.0.1:3000', new URL(issuer).host).replaceAll('127.0.0.1:9000', program)
    const origin = await startProxy(t, proxy, configuration)
    const { clients, sessions, tokens, users } = app.latchkey
    const [alice, carol] = await Promise.all([
      users.findByName('alice'),
      users.add({ username: 'carol', password: PASSWORD, scopes: ['admin', 'reports:read'] })
    ])
    const token = await tokens.sign(await sessions.start(carol))
    const narrow = alice === null ? '' : await tokens.sign(await sessions.start(alice))
    const cookie = `access_token=${token}`
    const mine = bearer(token)
    const forged = { 'X-Latchkey-User': 'root', 'X-Latchkey-Client': 'root', 'X-Latchkey-Scopes': 'everything' }

    const send = async (headers: Record<string, string>, method = 'GET'): Promise<Response> =>
      await fetch(`${origin}/a?b=c`, { method, headers, ...(method === 'POST' ? { body: 'text' } : {}) })
    const seen = async (response: Response): Promise<IncomingHttpHeaders> => {
      t.equal(response.status, 200)
      return await response.json() as IncomingHttpHeaders
    }

    for (const headers of [mine, { cookie }, { ...mine, ...forged }, { cookie, ...forged }]) {
      for (const method of ['GET', 'POST']) {
        t.match(await seen(await send(headers, method)), {
          'x-latchkey-user': carol.id,
          'x-latchkey-client': 'latchkey',
          'x-latchkey-scopes': 'admin reports:read'
        }, `${method} ${Object.keys(headers).join()}`)
      }
    }
    const { client } = await clients.add({ name: 'robot', scopes: ['reports:read'] })
    const own = await tokens.sign(await clients.issue(client))
    t.match(await seen(await send({ ...bearer(own), ...forged })), {
      'x-latchkey-user': client.id, 'x-latchkey-client': client.id, 'x-latchkey-scopes': 'reports:read'
    })

    const anonymous = await send(forged)
    t.equal(anonymous.status, 401)
    t.equal(anonymous.headers.get('www-authenticate'), 'Bearer')
    t.equal((await send(bearer('x'), 'POST')).status, 401)
    t.equal((await send(bearer(narrow))).status, 403)

    const cross = { cookie, 'sec-fetch-site': 'cross-site', origin: 'https://evil.example' }
    await seen(await send(cross))
    t.equal((await send(cross, 'POST')).status, 403)
    t.equal((await send({ ...cross, 'X-Original-Method': 'GET', 'X-Forwarded-Method': 'GET' }, 'POST')).status, 403)
    t.equal((await send({ ...cross, 'sec-websocket-version': '13', 'sec-websocket-key': 'eA==' })).status, 403)
    await seen(await send({ cookie, origin }, 'POST'))

    await app.inject({ method: 'POST', url: '/auth/revoke', payload: { token } })
    t.equal((await send(mine)).status, 401, 'revoked')

    const wrong = configuration.replace('scope=reports:read', 'scope=reprots:read')
    const misspelt = await startProxy(t, proxy, wrong)
    t.equal((await fetch(misspelt, { headers: bearer(own) })).status, proxy.statusOf(400))
  })

  t.test(`${name} serves Latchkey under a path`, { skip }, async t => {
    const { issuer } = await serve(t, { prefix: '/auth' })
    const configuration = await blockOf('production.md', name, '/.well-known/oauth-authorization-server/auth')
    const origin = await startProxy(t, proxy, configuration.replaceAll('127.0.0.1:3000', new URL(issuer).host))
    for (const path of ['/.well-known/oauth-authorization-server/auth', '/auth/.well-known/oauth-authorization-server']) {
      t.equal((await (await fetch(origin + path)).json() as { issuer: string }).issuer, issuer)
    }
  })
}
