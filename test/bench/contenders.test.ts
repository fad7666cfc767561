import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { once } from 'node:events'
import { readdir } from 'node:fs/promises'
import t from 'tap'
import type { Test } from 'tap'
import { checkContender, findPython, listContenders, startContender, startProgram } from '../../bench/contenders.js'
import type { Announcement, Verdicts } from '../../bench/contenders.js'

// Real processes. Those whose packages are not installed are skipped: `npm install` in bench/peers, and
// python3-fastapi.

const NONE = { expired: 'not offered', forged: 'not offered', revoked: 'not offered', login: 'not offered' } as const
const STATELESS = { expired: 'ok', forged: 'ok', revoked: 'not offered', login: 'not offered' } as const
const STATELESS_WITH_LOGIN = { ...STATELESS, login: 'ok' } as const
const ALL = { expired: 'ok', forged: 'ok', revoked: 'ok', login: 'ok' } as const

/** What each offers, and does right. Latchkey's own takes arguments, and is tested with the benchmark. */
const PEERS: Record<string, Omit<Verdicts, 'good'>> = {
  fastify: NONE,
  'fastify-jwt-hs256': STATELESS_WITH_LOGIN,
  'fastify-jwt-es256': STATELESS_WITH_LOGIN,
  'fastify-jwt-blacklist': ALL,
  'express-passport': STATELESS,
  'express-passport-key-object': STATELESS,
  hono: STATELESS,
  'better-auth': ALL,
  'better-auth-cookie-cache': STATELESS_WITH_LOGIN,
  'better-auth-api-key': { ...ALL, login: 'not offered' },
  fastapi: STATELESS_WITH_LOGIN
}

// Where the peers have their databases.
process.env.TMPDIR = t.testdir()

const contenders = await listContenders()

t.test('every contender is in the table of this test', async t => {
  t.same(contenders.map(({ name }) => name), ['latchkey', ...Object.keys(PEERS)])
})

t.test('every peer starts, answers right, and is gone when it is stopped', async t => {
  t.jobs = 3
  for (const { name, reason } of contenders.filter(({ name }) => name in PEERS)) {
    t.test(name, { skip: reason ?? false }, async t => {
      const running = await startContender(name)
      t.teardown(() => running.stop())
      t.match(running.url, /^http:\/\/127\.0\.0\.1:\d+$/)
      t.same(await checkContender(running), { good: 'ok', ...PEERS[name] })
      await running.stop()
      t.throws(() => process.kill(running.pid, 0), { code: 'ESRCH' }, 'the process is gone')
    })
  }
})

t.test('no peer leaves a file behind, also when it is told to end by a signal', async t => {
  const running = await startContender('fastify-jwt-blacklist', ['10'])
  t.equal((await readdir(process.env.TMPDIR ?? '')).length, 1, 'its database is in a folder of its own')
  process.kill(running.pid, 'SIGTERM')
  await running.stop()
  t.same(await readdir(process.env.TMPDIR ?? ''), [])
})

/**
 * A server that answers each request with the status that its header `as` names, 200 without one; and what it
 * announces.
 */
async function serve (
  t: Test, { body = '{"id":1,"name":"Lamp","price":12.5}', type = 'application/json' } = {}
): Promise<Announcement> {
  const server = createServer((request, response) => {
    if (request.headers.as === 'nothing') request.socket.destroy()
    else response.writeHead(Number(request.headers.as ?? 200), { 'content-type': type }).end(body)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  const { port } = server.address() as AddressInfo
  const refused = { as: '401' }
  const login = { method: 'POST', path: '/login', headers: { as: '204' }, body: '' }
  return {
    url: `http://127.0.0.1:${port}`, headers: { good: {}, expired: refused, forged: refused, revoked: refused }, login
  }
}

t.test('a contender that does not do what it announces is found out', async t => {
  const honest = await serve(t)
  const right = { good: 'ok', ...ALL }
  t.same(await checkContender(honest), right, 'one that does')

  for (const what of ['expired', 'forged', 'revoked'] as const) {
    const lying = { ...honest, headers: { ...honest.headers, [what]: {} } }
    t.same(await checkContender(lying), { ...right, [what]: 'wrong: got 200' }, `it lets in what is ${what}`)
    const failing = { ...honest, headers: { ...honest.headers, [what]: { as: '500' } } }
    t.same(await checkContender(failing), { ...right, [what]: 'wrong: got 500' }, `it fails on what is ${what}`)
    const { [what]: _left, ...others } = honest.headers
    t.same(
      await checkContender({ ...honest, headers: others }), { ...right, [what]: 'not offered' },
      `it announces nothing that is ${what}`
    )
  }

  t.match(
    await checkContender({ ...honest, headers: { ...honest.headers, good: { as: '401' } } }),
    { ...right, good: 'wrong: got 401' }
  )
  t.match(
    await checkContender({ ...honest, headers: { ...honest.headers, good: { as: 'nothing' } } }),
    { ...right, good: /^wrong: no answer, / }
  )
  t.match(
    await checkContender({ ...honest, login: { method: 'POST', path: '/login', headers: { as: '403' }, body: '' } }),
    { ...right, login: 'wrong: got 403' }
  )
  t.match(await checkContender(await serve(t, { body: '{"id":1}' })), { ...right, good: 'wrong: got {"id":1}' })
  t.match(await checkContender(await serve(t, { type: 'text/html' })), { ...right, good: 'wrong: got text/html' })
})

t.test('a program that accepts a forged token is found out through its own announcement', async t => {
  const running = await startProgram([process.execPath, '--input-type=module', '-e', `
    import { createServer } from 'node:http'
    process.stdin.on('end', () => process.exit()).resume()
    const server = createServer((request, response) => {
      const status = request.headers.authorization === 'Bearer expired' ? 401 : 200
      response.writeHead(status, { 'content-type': 'application/json' }).end('{"id":1,"name":"Lamp","price":12.5}')
    }).listen(0, '127.0.0.1', () => {
      const headers = Object.fromEntries(['good', 'expired', 'forged'].map(name => [name, { authorization: 'Bearer ' + name }]))
      console.log(JSON.stringify({ url: 'http://127.0.0.1:' + server.address().port, headers }))
    })`])
  t.teardown(() => running.stop())
  t.same(await checkContender(running), { ...NONE, good: 'ok', expired: 'ok', forged: 'wrong: got 200' })
})

t.test('what cannot be started says why', async t => {
  const node = (script: string): [string, ...string[]] => [process.execPath, '-e', script]
  await t.rejects(
    startProgram(node('console.error("no such table"); process.exitCode = 3')),
    { message: /it exited with code 3 before it was ready\nno such table\n$/ }
  )
  await t.rejects(
    startProgram(node('console.log("It listens"); setInterval(() => {}, 1000)')), { message: /not valid JSON/ }
  )
  await t.rejects(startProgram(node('console.log("{}"); setInterval(() => {}, 1000)')), { message: /it announced {}/ })
  await t.rejects(startProgram(['latchkey-no-such-program']), { message: /^latchkey-no-such-program: .*ENOENT/ })
  await t.rejects(
    startContender('fastify-jwt-blacklist', ['many']),
    { message: /bench\/peers\/fastify-jwt-blacklist\.js many: it exited with code 1 before/ }
  )
  await t.rejects(
    startContender('oauth2orize'), { message: /^Unknown contender 'oauth2orize'\. Choose from: latchkey, fastify, / }
  )
  t.match(
    await findPython(['latchkey-no-such-program', process.execPath]),
    { reason: /^None of latchkey-no-such-program, .* has fastapi, .*\. On Debian, run apt-get install python3-/ }
  )
})
