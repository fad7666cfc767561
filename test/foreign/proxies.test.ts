import { spawnSync } from 'node:child_process'
import { readFile, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { IncomingHttpHeaders } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import t from 'tap'
import type { Test } from 'tap'
import { bearer, PASSWORD } from '../helper.js'
import { freePort, serve, startProgram } from './support.js'

// nginx and Caddy with the configuration that the pages show, in front of a service and of a program without code for
// tokens.

t.setTimeout(120_000)

const docs = join(import.meta.dirname, '..', '..', '..', 'docs')

/** The block of this language in a page that contains a text. */
async function blockOf (page: string, language: string, text: string): Promise<string> {
  const blocks = (await readFile(join(docs, page), 'utf8')).matchAll(new RegExp(`\`\`\`${language}\\n([^]*?)\`\`\``, 'g'))
  const found = [...blocks].map(([, code = '']) => code).find(code => code.includes(text))
  if (found === undefined) throw new Error(`${page} has no block of ${language} with ${text}`)
  return found
}

interface Proxy {
  command: string
  /** Returns the arguments for a configuration, which it has written into the folder. */
  prepare (folder: string, configuration: string, port: number): Promise<string[]>
  /** What its clients get for an answer that is neither 2xx, 401 nor 403. */
  statusOf (status: number): number
}

const PROXIES: Record<string, Proxy> = {
  nginx: {
    command: 'nginx',
    async prepare (folder, configuration, port) {
      const server = configuration.includes('server {') ? configuration : `server {\nlisten 443 ssl;\n${configuration}}`
      const places = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(name => `${name}_temp_path ${folder}/${name};`)
      await writeFile(join(folder, 'nginx.conf'), [
        `daemon off; master_process off; pid ${folder}/pid; error_log stderr; events {}`,
        `http { access_log off; ${places.join(' ')}`,
        server.replace('listen 443 ssl', `listen 127.0.0.1:${port}`).replaceAll(/ssl_.*/g, ''),
        '}'
      ].join('\n'))
      return ['-c', join(folder, 'nginx.conf'), '-e', 'stderr']
    },
    statusOf: () => 500
  },
  caddy: {
    command: 'caddy',
    async prepare (folder, configuration, port) {
      const site = configuration.replace('example.com {', `http://127.0.0.1:${port} {`)
      await writeFile(join(folder, 'Caddyfile'), `{\n\tadmin off\n\tauto_https off\n}\n${site}`)
      return ['run', '--config', join(folder, 'Caddyfile'), '--adapter', 'caddyfile']
    },
    statusOf: status => status
  }
}

async function start (t: Test, { command, prepare }: Proxy, configuration: string): Promise<string> {
  const port = await freePort()
  const folder = t.testdir({})
  const origin = `http://127.0.0.1:${port}`
  const args = await prepare(folder, configuration, port)
  await startProgram(t, { command, args, env: { HOME: folder }, url: `${origin}/auth/health/live` })
  return origin
}

/** A program that answers with the headers that it gets. */
async function createProgram (t: Test): Promise<string> {
  const server = createServer((request, response) => {
    request.resume().on('end', () => response.end(JSON.stringify(request.headers)))
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => { server.close() })
  return `127.0.0.1:${(server.address() as AddressInfo).port}`
}

for (const [name, proxy] of Object.entries(PROXIES)) {
  const isThere = spawnSync(proxy.command, ['-v'], { stdio: 'ignore' }).error === undefined
  const skip = isThere || process.env.LATCHKEY_TEST_PROXIES === 'required' ? false : `there is no ${proxy.command} here`

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
    const origin = await start(t, proxy, configuration)
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
    const misspelt = await start(t, proxy, wrong)
    t.equal((await fetch(misspelt, { headers: bearer(own) })).status, proxy.statusOf(400))
  })

  t.test(`${name} serves Latchkey under a path`, { skip }, async t => {
    const { issuer } = await serve(t, { prefix: '/auth' })
    const configuration = await blockOf('production.md', name, '/.well-known/oauth-authorization-server/auth')
    const origin = await start(t, proxy, configuration.replaceAll('127.0.0.1:3000', new URL(issuer).host))
    for (const path of ['/.well-known/oauth-authorization-server/auth', '/auth/.well-known/oauth-authorization-server']) {
      t.equal((await (await fetch(origin + path)).json() as { issuer: string }).issuer, issuer)
    }
  })
}
