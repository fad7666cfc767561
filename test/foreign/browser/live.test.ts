import t from 'tap'
import type { Page } from 'playwright-core'
import type { FastifyInstance } from 'fastify'
import { WebSocket as Socket } from 'ws'
import { createLease } from '../../../examples/live/lease.js'
import { build, PASSWORD } from '../../../examples/live/server.js'
import { listen } from '../../../examples/browser/server.js'
import { bearer, createTestClock, postForm } from '../../helper.js'
import type { TestClock, TokenBody } from '../../helper.js'
import { launch, skip, watch } from './support.js'

// The program in examples/live, in a browser and with a program of Node.js.

t.setTimeout(120_000)

const MINUTE = 60_000

async function start (): Promise<{ app: FastifyInstance, clock: TestClock, origin: string, id: string }> {
  const clock = createTestClock()
  const app = await build({ bcryptCost: 4, rateLimit: false, now: clock })
  t.teardown(() => app.close())
  const origin = await listen(app, 0)
  return { app, clock, origin, id: (await app.latchkey.users.findByName('alice'))?.id ?? '' }
}

/** Waits until the page shows this of both connections. */
async function shows (page: Page, text: string): Promise<void> {
  for (const name of ['socket', 'events']) await page.locator(`#${name}`).filter({ hasText: text }).waitFor()
}

async function logIn (page: Page): Promise<void> {
  await page.getByLabel('Name').fill('alice')
  await page.getByLabel('Password').fill(PASSWORD)
  await press(page, 'Log in')
}

async function say (page: Page, text: string): Promise<void> {
  await page.getByLabel('Message').fill(text)
  await press(page, 'Send')
}

const press = (page: Page, name: string): Promise<void> => page.getByRole('button', { name }).dispatchEvent('click')

t.test('a WebSocket and an event stream in a browser', { skip }, async t => {
  const { app, clock, origin, id } = await start()
  const page = await (await (await launch(t)).newContext()).newPage()
  const record = watch(page)
  await page.goto(origin)

  await t.test('both are open after a login, and receive what is sent', async t => {
    await logIn(page)
    await shows(page, 'open')
    await say(page, 'first message')
    await shows(page, 'first message')
    t.strictSame(record.complaints, [])
  })

  await t.test('both go on with the fresh token that the browser got over HTTP', async t => {
    clock.move(10 * MINUTE)
    // What another tab does.
    t.equal(await page.evaluate("fetch('/auth/refresh', { method: 'POST' }).then(({ status }) => status)"), 200)
    const statuses: number[] = []
    page.on('response', answer => { if (answer.url().includes('/connections/')) statuses.push(answer.status()) })
    await press(page, 'Renew')
    while (statuses.length < 2) await page.waitForTimeout(20)
    t.strictSame(statuses, [204, 204])
    // The first token has expired, the second has not.
    clock.move(10 * MINUTE)
    await new Promise(resolve => setTimeout(resolve, 600))
    await say(page, 'second message')
    await shows(page, 'second message')
  })

  await t.test('both close when their token expires, and open again because the session lives', async t => {
    const closed: string[] = []
    await page.exposeFunction('note', (text: string) => { closed.push(text) })
    await page.evaluate(`new MutationObserver(changes => {
      for (const { target } of changes) note(target.textContent)
    }).observe(document.body, { childList: true, subtree: true })`)
    clock.move(16 * MINUTE)
    while (closed.filter(text => text === 'closed: token_expired').length < 2) await page.waitForTimeout(20)
    await shows(page, 'open')
    await say(page, 'third message')
    await shows(page, 'third message')
    t.equal((await app.latchkey.sessions.list(id)).length, 1)
  })

  await t.test('both close at once when the session ends elsewhere, and stay closed', async t => {
    const begun = performance.now()
    const [session] = await app.latchkey.sessions.list(id)
    await app.latchkey.sessions.end(id, session?.id ?? '')
    await shows(page, 'closed: token_revoked')
    t.ok(performance.now() - begun < 1_000)
    await page.waitForTimeout(300)
    await shows(page, 'closed: token_revoked')
  })

  t.strictSame(record.complaints, [])
})

/** A socket of a program, what it received, and how it closed. */
function connect (origin: string, token: string) {
  const socket = new Socket(`${origin.replace('http', 'ws')}/socket`, { headers: bearer(token) })
  const messages: Array<{ type: string, text?: string }> = []
  socket.on('message', data => messages.push(JSON.parse(String(data))))
  const closed = new Promise<string>(resolve => {
    socket.on('close', (code, reason) => resolve(`${code} ${String(reason)}`))
  })
  const received = async (type: string): Promise<void> => {
    while (!messages.some(message => message.type === type)) await new Promise(resolve => setTimeout(resolve, 5))
  }
  return { socket, messages, closed, received }
}

t.test('a program sends a fresh token over its socket', async t => {
  const { app, clock, origin } = await start()
  await app.latchkey.users.add({ username: 'mallory', password: PASSWORD, scopes: [] })
  const logInAs = async (username: string): Promise<TokenBody> => {
    const form = { grant_type: 'password', username, password: PASSWORD }
    return (await postForm(app, '/auth/token', form)).json()
  }
  const tokens = await logInAs('alice')
  const refresh = async (): Promise<string> => {
    const form = { grant_type: 'refresh_token', refresh_token: tokens.refresh_token }
    const fresh: TokenBody = (await postForm(app, '/auth/token', form)).json()
    tokens.refresh_token = fresh.refresh_token
    return fresh.access_token
  }

  const one = connect(origin, tokens.access_token)
  await one.received('hello')
  clock.move(10 * MINUTE)
  const fresh = await refresh()
  one.socket.send(JSON.stringify({ token: fresh }))
  await new Promise(resolve => setTimeout(resolve, 50))
  clock.move(10 * MINUTE)
  await new Promise(resolve => setTimeout(resolve, 600))
  const request = { method: 'POST', url: '/messages', headers: bearer(fresh), payload: { text: 'hi' } } as const
  t.equal((await app.inject(request)).statusCode, 204)
  await one.received('message')
  t.equal(one.socket.readyState, Socket.OPEN)

  const table: Array<[name: string, message: string, outcome: string]> = [
    ['the token of another user', JSON.stringify({ token: (await logInAs('mallory')).access_token }), '4401 invalid_token'],
    ['an expired token', JSON.stringify({ token: tokens.access_token }), '4401 token_expired'],
    ['no token', '{}', '4401 invalid_token'],
    ['no object', 'null', '4401 invalid_token'],
    ['no JSON', 'hello', '4401 invalid_token']
  ]
  for (const [name, message, outcome] of table) {
    const other = connect(origin, await refresh())
    await other.received('hello')
    other.socket.send(message)
    t.equal(await other.closed, outcome, name)
  }

  await app.close()
  t.match(await one.closed, /^(1013 revocation_unknown|1005 |1001 )/, 'the server closes')
})

t.test('a fresh token that comes after the first has expired, but before that was noticed, keeps the connection', async t => {
  const { app, clock } = await start()
  const form = { grant_type: 'password', username: 'alice', password: PASSWORD }
  const logIn = async (): Promise<TokenBody> => (await postForm(app, '/auth/token', form)).json()
  const closed: unknown[] = []
  const first = await app.latchkey.tokens.accept((await logIn()).access_token)
  const lease = createLease(first, reason => closed.push(reason.code))
  clock.move(10 * MINUTE)
  const next = await app.latchkey.tokens.accept((await logIn()).access_token)
  clock.move(6 * MINUTE)
  t.equal(lease.renew(next), true)
  await new Promise(resolve => setTimeout(resolve, 600))
  t.strictSame(closed, [])
  clock.move(10 * MINUTE)
  await new Promise(resolve => setTimeout(resolve, 600))
  t.strictSame(closed, ['token_expired'])
})

t.test('only the owner of a connection can renew it', async t => {
  const { app, origin } = await start()
  await app.latchkey.users.add({ username: 'mallory', password: PASSWORD, scopes: [] })
  const logInAs = async (username: string): Promise<TokenBody> =>
    (await postForm(app, '/auth/token', { grant_type: 'password', username, password: PASSWORD })).json()
  const [alice, mallory] = [await logInAs('alice'), await logInAs('mallory')]
  const { messages, received, socket } = connect(origin, alice.access_token)
  await received('hello')
  const { id } = messages[0] as unknown as { id: string }
  const renew = async (token: string, id: string): Promise<number> =>
    (await app.inject({ method: 'POST', url: `/connections/${id}`, headers: bearer(token) })).statusCode
  t.equal(await renew(mallory.access_token, id), 404)
  t.equal(await renew(alice.access_token, 'nothing'), 404)
  t.equal(await renew(alice.access_token, id), 204)
  socket.terminate()
})
