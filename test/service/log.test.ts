import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { connect } from 'node:net'
import t from 'tap'
import type { Test } from 'tap'
import { CLI, environment, NODE } from '../commands/support.js'

interface Line {
  level: number,
  msg: string,
  req?: {
    method: string, path: string, address: string | null
  },
  status?: number,
  address?: string | null,
  err?: object,
  listening?: string
}

/** Runs the service, lets `use` send requests to it, and returns the lines of its log once it has ended. */
async function logOf (
  t: Test, env: Record<string, string>, use: (url: string, printed: (text: string) => Promise<void>) => Promise<void>
): Promise<Line[]> {
  const child = spawn(
    NODE[0], [...NODE.slice(1), CLI, 'serve'],
    { cwd: t.testdir(), env: environment(env), stdio: ['ignore', 'pipe', 'pipe'] }
  )
  t.teardown(() => { child.kill('SIGKILL') })
  let output = ''
  const ended = new Promise<void>(resolve => child.on('close', () => resolve()))
  const url = await new Promise<string>((resolve, reject) => {
    child.stdout.on('data', chunk => {
      output += chunk
      const listening = /Server listening at (http:[^"]+)"/.exec(output)?.[1]
      if (listening !== undefined) resolve(listening)
    })
    ended.then(() => reject(new Error(output)), reject)
  })
  async function printed (text: string): Promise<void> {
    while (!output.includes(text)) await once(child.stdout, 'data')
  }
  await use(url, printed)
  child.kill('SIGTERM')
  await ended
  return output.split('\n').filter(line => line.startsWith('{')).map(line => JSON.parse(line) as Line)
}

/** Sends bytes and reads until the service closes the connection. */
async function send (url: string, bytes: string): Promise<string> {
  return await new Promise(resolve => {
    const socket = connect(Number(new URL(url).port), '127.0.0.1', () => socket.write(bytes))
    let answer = ''
    socket.on('error', () => {}).on('data', chunk => { answer += String(chunk) }).on('close', () => resolve(answer))
  })
}

async function get (url: string, path: string, forwardedFor?: string): Promise<string> {
  const also = forwardedFor === undefined ? '' : `x-forwarded-for: ${forwardedFor}\r\n`
  return await send(url, `GET ${path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n${also}\r\n`)
}

t.test('one line for each request, without tokens and without text that a client wrote as its address', async t => {
  const token = `eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiIxIn0.${'x'.repeat(80)}`
  const paths = [
    `/${token}`, `/%65yJ${token.slice(3)}`, `/%2565%79J${token.slice(3)}`, `/users/me;a=${token}`, `/%zz${token}`,
    '/%zz', `/x?${token}`, `/${'eyJ'.repeat(2_600)}.${'x'.repeat(7_800)}`, '/health/live', '/login'
  ]
  const forwarded: Array<[header: string, address: string | null]> = [
    ['203.0.113.9:51234', '203.0.113.9'],
    ['[2001:DB8::9]:443', '2001:db8::9'],
    ['203.0.113.9:51234, 10.0.0.1:4444', '203.0.113.9'],
    ['203.0.113.9, [::ffff:10.0.0.1]:4444', '203.0.113.9'],
    ['10.0.0.1, 198.51.100.7:99', '198.51.100.7'],
    ['203.0.113.9, unknown', null],
    ['010.0.0.1', null],
    ['evil <script>', null],
    [token, null]
  ]
  const lines = await logOf(t, { LATCHKEY_TRUST_PROXY: '127.0.0.1,10.0.0.0/8' }, async url => {
    for (const path of paths) await get(url, path)
    for (const [header] of forwarded) await get(url, '/health/live', header)
    await send(url, `GET / HTTP/1.1\r\nhost: localhost\r\nx: ${token}\r\nbroken\r\n\r\n`)
  })
  const requests = lines.filter(({ msg }) => msg === 'request')
  t.equal(requests.length, paths.length + forwarded.length)
  t.same(requests.slice(0, paths.length).map(({ req }) => req?.path), ['/(token)', '/(token)', '/(token)',
    '/users/(token)', '/(token)', '/%zz', '/x', '/(token)', '/health/live', '/login'])
  t.same(requests.slice(paths.length).map(({ req }) => req?.address), forwarded.map(([, address]) => address))
  t.match(lines.filter(({ msg }) => msg === 'connection cut off'), [{ address: '127.0.0.1', status: 400 }])
  t.notMatch(JSON.stringify(lines), /xxxxx|script/)
})

t.test('a refusal is not an error: it is one line, without a stack', async t => {
  const lines = await logOf(t, { LATCHKEY_STATUS_LIST: 'true' }, async (url, printed) => {
    t.match(await get(url, '/status-lists/x?time=1'), /^HTTP\/1\.1 501/)
    t.match(await get(url, '/status-lists/x?time=x'), /^HTTP\/1\.1 400/)
    t.match(await get(url, '/audit?since=2016-12-31T23:59:60Z'), /^HTTP\/1\.1 401/)
    await new Promise<void>(resolve => {
      // The client leaves before the response is ready.
      const socket = connect(Number(new URL(url).port), '127.0.0.1', () => {
        socket.write(
          'POST /token HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 60\r\n\r\n{"username":"nobody","password":"a password of nobody here"}'
        )
        socket.write('', () => socket.resetAndDestroy())
      })
      socket.on('close', () => resolve())
    })
    await printed('"msg":"login_failed"')
  })
  t.same(lines.filter(({ level }) => level >= 50), [])
  t.notMatch(JSON.stringify(lines), /"stack"/)
  t.match(lines.filter(({ msg }) => msg === 'request').slice(0, 3).map(({ status }) => status), [501, 400, 401])
})
