import { spawn, spawnSync } from 'node:child_process'
import { stat } from 'node:fs/promises'
import { request as httpRequest } from 'node:http'
import { connect, createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import t from 'tap'
import type { Test } from 'tap'
import { bearer, PASSWORD } from '../helper.js'
import type { TokenBody } from '../helper.js'
import { createDatabase } from '../postgres/databases.js'
import { CLI, environment, NODE, run } from './support.js'

// The service as a process: what it prints, how it ends, and the verbs that act on it while it runs.

interface Service {
  url: string
  /** All that it has printed so far. */
  readonly output: string
  readonly errors: string
  /** Resolves when the output matches. */
  printed (pattern: RegExp): Promise<RegExpMatchArray>
  kill (signal: NodeJS.Signals): void
  /** The exit code. */
  readonly exited: Promise<number | null>
  stop (): Promise<number | null>
}

/** Starts the service in `directory`; it is stopped when the test ends. */
async function serve (
  t: Test, directory: string, env: Record<string, string> = {}, nodeArgs: string[] = []
): Promise<Service> {
  const child = spawn(
    NODE[0], [...NODE.slice(1), ...nodeArgs, CLI, 'serve'],
    { cwd: directory, env: environment(env), stdio: ['ignore', 'pipe', 'pipe'] }
  )
  let output = ''
  let errors = ''
  let look = (): void => {}
  const exited = new Promise<number | null>(resolve => child.on('close', code => resolve(code)))
  child.stderr.on('data', chunk => { errors += chunk })
  child.stdout.on('data', chunk => {
    output += chunk
    look()
  })
  async function printed (pattern: RegExp): Promise<RegExpMatchArray> {
    const found = new Promise<RegExpMatchArray>(resolve => {
      look = () => {
        const match = pattern.exec(output)
        if (match !== null) resolve(match)
      }
      look()
    })
    return await Promise.race([
      found, exited.then(code => { throw new Error(`The service ended with ${code}: ${output}${errors}`) })
    ])
  }
  const service = {
    url: '',
    get output () { return output },
    get errors () { return errors },
    printed,
    kill: (signal: NodeJS.Signals) => { child.kill(signal) },
    exited,
    async stop () {
      child.kill('SIGTERM')
      return await exited
    }
  }
  t.teardown(() => service.stop())
  service.url = (await printed(/Server listening at (http:[^"]+)"/))[1] ?? ''
  return service
}

async function logIn (url: string, username: string, password = PASSWORD): Promise<TokenBody> {
  const response = await fetch(
    `${url}/token`, { method: 'POST', body: new URLSearchParams({ grant_type: 'password', username, password }) }
  )
  if (response.status !== 200) {
    throw new Error(
    `Logging in ${username} failed: ${response.status} ${await response.text()}`
    )
  }
  return await response.json() as TokenBody
}

async function statusOf (url: string, token: string): Promise<number> {
  const response = await fetch(`${url}/users/me`, { headers: bearer(token) })
  await response.arrayBuffer()
  return response.status
}

async function refreshes (url: string, token: string): Promise<number> {
  const response = await fetch(
    `${url}/token`, { method: 'POST', body: new URLSearchParams({ grant_type: 'refresh_token', refresh_token: token }) }
  )
  await response.arrayBuffer()
  return response.status
}

/** The name and password that the first start prints. */
async function readGreeting (service: Service): Promise<{ name: string, password: string, lines: string }> {
  const [, name = '', password = '', lines = ''] = await service.printed(
    /^ {2}name +(\S+)\n {2}password +(\S+)\n[\s\S]*^(TOKEN=.*\ncurl .*\ncurl .*\n)\n/m
  )
  return { name, password, lines }
}

const noCurl = spawnSync('curl', ['--version']).error !== undefined && 'curl is not installed'

t.jobs = 2

t.test('the first start makes an administrator and prints it once; the second keeps everything', async t => {
  const directory = t.testdir()
  const first = await serve(
    t, directory, { LATCHKEY_SCOPES: 'admin', LATCHKEY_PREFIX: '/auth', LATCHKEY_ISSUER: 'https://auth.example.com' }
  )
  const { name, password } = await readGreeting(first)
  t.equal(name, 'admin')
  t.equal((await stat(join(directory, 'latchkey.secret'))).mode & 0o777, 0o600)
  t.equal(first.errors, '')

  const kept = await logIn(`${first.url}/auth`, name, password)
  t.equal(
    kept.scope, 'admin audit:read clients:write metrics:read revocations:read tokens:introspect users:read users:write',
    'all scopes there are'
  )
  const revoked = await logIn(`${first.url}/auth`, name, password)
  t.equal(
    (await fetch(
      `${first.url}/auth/revoke?secret=query`,
      { method: 'POST', body: new URLSearchParams({ token: revoked.access_token }) }
    )).status,
    200
  )
  t.equal(await statusOf(`${first.url}/auth`, revoked.access_token), 401)
  t.equal(await first.stop(), 0)

  t.equal(first.output.split(password).length - 1, 2, 'the password: by itself, and in the line that logs in')
  const logged = first.output.split('\n').filter(line => line.startsWith('{'))
  t.same(logged.map(line => JSON.parse(line)).filter(({ msg }) => msg === 'request').map((
    { req, status }
  ) => `${req.method} ${req.path} ${status}`),
  [
    'POST /auth/token 200', 'POST /auth/token 200', 'POST /auth/revoke 200', 'GET /auth/users/me 401'
  ], 'one line per request')
  for (const secret of [
    password, kept.access_token, kept.refresh_token, revoked.access_token, 'secret=query'
  ]) t.notMatch(logged.join('\n'), secret)

  const second = await serve(t, directory, { LATCHKEY_PREFIX: '/auth', LATCHKEY_ISSUER: 'https://auth.example.com' })
  t.equal(await statusOf(`${second.url}/auth`, kept.access_token), 200)
  t.equal(await statusOf(`${second.url}/auth`, revoked.access_token), 401)
  t.equal(await refreshes(`${second.url}/auth`, kept.refresh_token), 200)
  t.equal(await second.stop(), 0)
  t.notMatch(second.output, /administrator|password|TOKEN=|curl/)
  t.notMatch(second.output, /"level":40/, 'and warns of nothing')
  t.equal(second.errors, '')
})

t.test('the three curl lines work as they are', { skip: noCurl }, async t => {
  const hosts = ['0.0.0.0']
  if (await new Promise(
    resolve => {
      const probe = createServer().once('error', () => resolve(false)).listen(
        0, '::1', () => probe.close(() => resolve(true))
      )
    }
  )) hosts.push('::1')
  for (const host of hosts) {
    const service = await serve(
      t, t.testdir(), { HOST: host, LATCHKEY_PREFIX: '/v1/auth', LATCHKEY_PASSWORD_MIN_LENGTH: '30' }
    )
    const { password, lines } = await readGreeting(service)
    t.ok(password.length >= 30, 'as long as the policy asks')
    const script = `${lines}printf '%s' "$TOKEN" >&2\n`
    const { stdout, stderr, token } = await new Promise<{ stdout: string, stderr: string, token: string }>(resolve => {
      const child = spawn('sh', ['-c', script], { env: environment({}) })
      let stdout = ''
      let stderr = ''
      child.stdout.on('data', chunk => { stdout += chunk })
      child.stderr.on('data', chunk => { stderr += chunk })
      child.on('close', () => resolve({ stdout, stderr, token: stderr }))
    })
    const [me, revoked] = stdout.split('\n')
    t.match(JSON.parse(me ?? ''), { username: 'admin' }, host)
    t.equal(revoked, '{}')
    t.match(stderr, /^[\w-]+\.[\w-]+\.[\w-]+$/, 'and nothing but the token that the shell holds')
    t.equal(await statusOf(`${service.url}/v1/auth`, token), 401)
    t.equal(
      service.output.includes('LATCHKEY_ISSUER'), host === '0.0.0.0',
      'a warning where others can reach it under the default issuer'
    )
    await service.stop()
  }
})

t.test('the default issuer names the port, and the greeting names the API page', async t => {
  const probe = createServer()
  await new Promise<void>(resolve => probe.listen(0, '127.0.0.1', resolve))
  const { port } = probe.address() as AddressInfo
  await new Promise(resolve => probe.close(resolve))
  const service = await serve(t, t.testdir(), { PORT: String(port) })
  await readGreeting(service)
  t.match(service.output, `The API page is at ${service.url}/docs.`)
  const response = await fetch(`${service.url}/.well-known/oauth-authorization-server`)
  t.match(await response.json(), { issuer: `http://127.0.0.1:${port}` })
})

t.test('the options file gives the service scopes, claims, a listener and an own user store', async t => {
  const both = t.testdir({
    own: {},
    'latchkey.config.mjs': `export default {
      scopes: { 'todos:read': 'Read todos' },
      claims: user => ({ name: user.username }),
      onEvent: event => { if (event.type === 'login') process.stderr.write('heard ' + event.type + '\\n') }
    }`,
    'own-users.cjs': `const carol = { id: '7', username: 'carol', scopes: [] }
      module.exports = {
        docs: false,
        users: { authenticate: async () => carol, find: async () => carol }
      }`
  })
  const service = await serve(t, both)
  const { name, password } = await readGreeting(service)
  t.match(await run(both, ['users', 'add', 'alice', '--scope', 'todos:read'], { input: PASSWORD }), { code: 0 })
  const { access_token: token, scope } = await logIn(service.url, name, password)
  t.match(scope, 'todos:read')
  t.match(JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString()), { name: 'admin' })
  await service.stop()
  t.equal(service.errors, 'heard login\n')

  const own = await serve(t, join(both, 'own'), { LATCHKEY_CONFIG: '../own-users.cjs' })
  t.equal(await statusOf(own.url, (await logIn(own.url, 'carol')).access_token), 200)
  t.equal((await fetch(`${own.url}/docs`)).status, 404)
  await own.stop()
  t.notMatch(own.output, 'administrator')
})

t.test('verbs act on the running service at once', async t => {
  const directory = t.testdir()
  const service = await serve(
    t, directory, { LATCHKEY_COOKIES_SECURE: 'false', LATCHKEY_ISSUER: 'http://auth.example.com' }
  )
  const { url } = service
  await service.printed(/"level":40.*RFC 8414/)
  t.match(
    await run(
      directory, ['users', 'add', 'alice', '--scope', 'users:read', '--scope', 'audit:read'], { input: `${PASSWORD}\n` }
    ),
    { code: 0, stderr: '' }
  )

  const beforeScopes = await logIn(url, 'alice')
  t.equal((await run(directory, ['users', 'set-scopes', 'alice', 'users:read'])).code, 0)
  t.equal(await statusOf(url, beforeScopes.access_token), 401, 'a token that had the scope is dead')
  t.equal(await refreshes(url, beforeScopes.refresh_token), 200, 'the session goes on')
  t.equal((await logIn(url, 'alice')).scope, 'users:read')

  const one = await logIn(url, 'alice')
  const other = await logIn(url, 'alice')
  const { sid } = JSON.parse(
    Buffer.from(one.access_token.split('.')[1] ?? '', 'base64url').toString()
  ) as { sid: string }
  t.match(
    await run(directory, ['sessions', 'revoke', 'alice', '--session', sid]),
    { code: 0, stdout: 'Ended 1 session of alice.\n' }
  )
  t.equal(await statusOf(url, one.access_token), 401)
  t.equal(await statusOf(url, other.access_token), 200)
  t.match(
    JSON.parse((await run(directory, ['sessions', 'revoke', 'alice', '--json'])).stdout),
    { username: 'alice', ended: 3 }
  )
  t.equal(await statusOf(url, other.access_token), 401)

  const beforePassword = await logIn(url, 'alice')
  t.equal(
    (await run(directory, ['users', 'set-password', 'alice'], { input: 'another walrus cobalt lantern' })).code, 0
  )
  t.equal(await statusOf(url, beforePassword.access_token), 401)

  const beforeDisabling = await logIn(url, 'alice', 'another walrus cobalt lantern')
  t.equal((await run(directory, ['users', 'disable', 'alice'])).code, 0)
  t.equal(await statusOf(url, beforeDisabling.access_token), 401)
  t.equal(await refreshes(url, beforeDisabling.refresh_token), 400)
  await t.rejects(logIn(url, 'alice', 'another walrus cobalt lantern'), /400/)
})

t.test('no line of the log of a busy service holds a token, a cookie or a password', async t => {
  const service = await serve(
    t, t.testdir(), { LATCHKEY_LOG_LEVEL: 'trace', LATCHKEY_COOKIES_SECURE: 'false', LATCHKEY_RATE_LIMIT: 'false' }
  )
  const { name, password } = await readGreeting(service)
  const { url } = service
  const secrets = [password, 'a wrong password', 'the new password of the test']
  const json = (body: object, headers: Record<string, string> = {}): RequestInit => ({
    method: 'POST', headers: { 'content-type': 'application/json', ...headers }, body: JSON.stringify(body)
  })
  const ask = async (path: string, init?: RequestInit): Promise<Response> => {
    const response = await fetch(url + path, init)
    await response.clone().arrayBuffer()
    return response
  }

  const tokens = await logIn(url, name, password)
  const login = await ask('/login', json({ username: name, password }))
  t.equal(login.status, 200)
  const cookies = login.headers.getSetCookie().map(cookie => cookie.split(';')[0] ?? '')
  secrets.push(
    tokens.access_token, tokens.refresh_token, ...cookies.map(cookie => cookie.slice(cookie.indexOf('=') + 1))
  )
  const cookie = { cookie: cookies.join('; ') }
  const spoilt = `${tokens.access_token.slice(0, -8)}AAAAAAAA`
  secrets.push(spoilt)

  await ask('/login', json({ username: name, password: 'a wrong password' }))
  await ask('/login', json({ username: name, password: ['a wrong password'] }))
  await ask('/login', json({ username: name, password: 'a wrong password'.repeat(2_000) }))
  await ask('/login', { ...json({}), body: `{"password":"${password}"` })
  await ask(
    '/token',
    {
      method: 'POST',
      body: new URLSearchParams({ username: name, password: 'a wrong password', client_secret: password })
    }
  )
  await ask(`/users/me?access_token=${tokens.access_token}`, { headers: bearer(spoilt) })
  await ask(`/sessions/${tokens.access_token}`, { method: 'DELETE', headers: bearer(tokens.access_token) })
  for (const path of [
    `/${tokens.refresh_token}`, `/%zz${tokens.access_token}`,
    `//${tokens.access_token}/${password}?${password}`.replaceAll(password, tokens.refresh_token)
  ]) await ask(path, { headers: cookie })
  await ask('/users/me', { headers: { ...bearer(tokens.access_token), ...cookie } })
  await ask(
    '/users/me/password',
    {
      method: 'PUT',
      headers: { 'content-type': 'application/json', ...bearer(tokens.access_token) },
      body: JSON.stringify({ current_password: 'a wrong password', new_password: 'the new password of the test' })
    }
  )
  const refreshed = await (await ask('/refresh', json({ refresh_token: tokens.refresh_token }))).json() as TokenBody
  secrets.push(refreshed.access_token, refreshed.refresh_token)
  await ask('/refresh', json({ refresh_token: refreshed.refresh_token }))
  await ask('/refresh', json({ refresh_token: tokens.refresh_token }))
  await ask('/revoke', json({ token: refreshed.access_token }))
  await ask('/logout', { method: 'POST', headers: cookie })
  await new Promise<void>(resolve => {
    const socket = connect(
      Number(new URL(url).port),
      '127.0.0.1',
      () => socket.write(
        `GET / HTTP/1.1\r\nauthorization: Bearer ${tokens.access_token}\r\n${password}${'x'.repeat(20_000)}\r\n\r\n`
      )
    )
    socket.on('error', () => {}).on('data', () => {}).on('close', () => resolve())
  })
  await service.stop()

  const logged = service.output.split('\n').filter(line => line.startsWith('{'))
  t.ok(logged.length > 20)
  t.ok(logged.some(line => line.includes('connection cut off')))
  t.notOk(logged.some(line => line.includes('RFC 8414')), 'an issuer on this machine is no reason to warn')
  for (const secret of secrets) {
    t.notOk(
      logged.some(
        line => line.includes(secret) || line.includes(encodeURIComponent(secret))
      ), `${secret.slice(0, 12)}...`
    )
  }
  t.equal(service.errors, '')
})

t.test('the signal of a crash ends the process, so that it starts again', async t => {
  const service = await serve(t, t.testdir())
  service.kill('SIGSEGV')
  t.equal(await service.exited, null, 'a signal and no exit code')
  t.notMatch(service.output, /"msg":"closing"/)
})

t.test('SIGTERM lets a request in flight finish, does not wait for silent connections, and exits 0', async t => {
  const directory = t.testdir()
  const service = await serve(t, directory, { LATCHKEY_BCRYPT_COST: '12', LATCHKEY_COOKIES_SECURE: 'false' })
  const { name, password } = await readGreeting(service)
  await service.printed(/"level":40.*LATCHKEY_COOKIES_SECURE/)
  const silent = connect(Number(new URL(service.url).port), '127.0.0.1')
  t.teardown(() => silent.destroy())
  await new Promise(resolve => silent.once('connect', resolve))

  const body = new URLSearchParams({ grant_type: 'password', username: name, password }).toString()
  const answer = await new Promise<{ status: number | undefined, text: string }>((resolve, reject) => {
    const request = httpRequest(`${service.url}/token`, {
      method: 'POST',
      headers: {
        'content-type': 'application/x-www-form-urlencoded',
        'content-length': Buffer.byteLength(body),
        expect: '100-continue'
      }
    }, response => {
      let text = ''
      response.on('data', chunk => { text += chunk }).on('end', () => resolve({ status: response.statusCode, text }))
    })
    request.on('error', reject)
    // The service has read the head and asks for the rest: from here on the request is in flight.
    request.on('continue', () => {
      service.kill('SIGTERM')
      service.printed(/"msg":"closing"/).then(() => request.end(body), reject)
    })
    request.flushHeaders()
  })
  t.equal(answer.status, 200)
  t.match(JSON.parse(answer.text), { access_token: String, token_type: 'bearer' })
  t.equal(await service.exited, 0)

  const again = await serve(t, directory)
  t.equal(
    await statusOf(again.url, (JSON.parse(answer.text) as TokenBody).access_token), 200, 'what was answered is kept'
  )
})

t.test('an error that nothing catches is logged, and the exit code is 1', async t => {
  const service = await serve(
    t, t.testdir(), {}, ['--import', 'data:text/javascript,process.on("SIGCONT",()=>{throw new Error("boom")})']
  )
  await readGreeting(service)
  service.kill('SIGCONT')
  t.equal(await service.exited, 1)
  t.match(service.output, /"level":60.*boom.*"msg":"closing after an uncaught error"/)
})

t.test('a taken port is one sentence, and no administrator is lost to it', async t => {
  const directory = t.testdir()
  const blocker = createServer()
  t.teardown(() => blocker.close())
  await new Promise<void>(resolve => blocker.listen(0, '127.0.0.1', resolve))
  const { port } = blocker.address() as AddressInfo
  const { code, stdout, stderr } = await run(directory, ['serve'], { env: { PORT: String(port) } })
  t.equal(code, 1)
  t.match(stderr, new RegExp(`^latchkey: Port ${port} of 127\\.0\\.0\\.1 is used.*PORT.*\\n$`))
  t.notMatch(stdout, /password/)
  t.same(JSON.parse((await run(directory, ['users', 'list', '--json'])).stdout), [])
})

t.test('where it cannot start after the database was opened it ends all the same: PostgreSQL with another secret', async t => {
  const directory = t.testdir()
  const database = createDatabase()
  const secret = 'a secret of the tests of more than 32 bytes'
  t.match(
    await run(directory, ['migrate'], { env: { LATCHKEY_DATABASE: database, LATCHKEY_SECRET: secret } }), { code: 0 }
  )
  const wrong = { LATCHKEY_DATABASE: database, LATCHKEY_SECRET: `${secret} and not this one`, PORT: '0' }
  await t.rejects(serve(t, directory, wrong), { message: /^The service ended with 1: .*does not open the signing key/ })
})
