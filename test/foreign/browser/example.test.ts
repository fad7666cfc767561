import t from 'tap'
import type { BrowserContext, Page, Response } from 'playwright-core'
import type { FastifyInstance } from 'fastify'
import { build, buildOther, listen, PASSWORD } from '../../../examples/browser/server.js'
import { createTestClock } from '../../helper.js'
import type { TestClock } from '../../helper.js'
import { holdTogether, launch, skip, watch } from './support.js'

// The program in examples/browser, and what a browser makes of our cookies.

t.setTimeout(120_000)

/** Of an access token, with something to spare. */
const LIFETIME = 16 * 60_000

interface Sites {
  app: FastifyInstance
  clock: TestClock
  /** The app's own origin; one of the same site that is trusted, and one that is not; another site. */
  own: string
  trusted: string
  untrusted: string
  foreign: string
}

async function startSites (): Promise<Sites> {
  const clock = createTestClock()
  let own = ''
  const others = [await buildOther(() => own), await buildOther(() => own)] as const
  const [trusted, untrusted] = [await listen(others[0], 0), await listen(others[1], 0)]
  const app = await build(trusted, { bcryptCost: 4, rateLimit: false, now: clock })
  own = await listen(app, 0)
  t.teardown(() => Promise.all([app, ...others].map(server => server.close())))
  return { app, clock, own, trusted, untrusted, foreign: untrusted.replace('localhost', '127.0.0.1') }
}

async function open (context: BrowserContext, url: string): Promise<Page> {
  const page = await context.newPage()
  await page.goto(url)
  return page
}

async function logIn (page: Page): Promise<Response> {
  await page.getByLabel('Name').fill('alice')
  await page.getByLabel('Password').fill(PASSWORD)
  return await during(page, '/auth/login', () => press(page, 'Log in'))
}

/** What a page gets back for what `act` makes it ask for: not for a preflight. */
async function during (page: Page, path: string, act: () => Promise<unknown>): Promise<Response> {
  const [response] = await Promise.all([
    page.waitForResponse(response => response.url().endsWith(path) && response.request().method() !== 'OPTIONS'), act()
  ])
  return response
}

async function add (page: Page, note: string): Promise<Response> {
  await page.getByLabel('Note').fill(note)
  return await during(page, '/notes', () => press(page, 'Add'))
}

/** Not by the mouse, which waits for a tab to be drawn: those in the background hardly are. */
const press = (page: Page, name: string): Promise<void> => page.getByRole('button', { name }).dispatchEvent('click')
const load = (page: Page): Promise<void> => press(page, 'Load')
const says = (page: Page, text: string): Promise<void> => page.getByRole('status').filter({ hasText: text }).waitFor()

/** Sends the form of the attacker's page, and waits until the browser shows the answer. */
async function attack (page: Page, origin: string): Promise<Response> {
  await page.goto(`${origin}/attack.html`)
  const answer = await during(page, '/notes', () => press(page, 'Collect your prize'))
  await page.waitForURL(answer.url())
  return answer
}

t.test('cookies in a browser', { skip }, async t => {
  const browser = await launch(t)
  const { app, clock, own, trusted, untrusted, foreign } = await startSites()
  const alice = (await app.latchkey.users.findByName('alice'))?.id ?? ''
  const sessions = async (): Promise<number> => (await app.latchkey.sessions.list(alice)).length
  const notesOf = (page: Page): Promise<string[]> => page.getByRole('listitem').allInnerTexts()

  const context = await browser.newContext()
  const page = await open(context, own)
  const record = watch(page)
  // Opened once, and never closed: Chromium may hang where that happens while something loads.
  const [second, attacker] = [await context.newPage(), await context.newPage()]

  await t.test('a login sets cookies that no script can read, and hands no token to the page', async t => {
    await says(page, 'You are logged out.')
    const answer = await logIn(page)
    t.equal(answer.status(), 200)
    t.notMatch(await answer.text(), /eyJ|lkr_/)
    await says(page, '0 notes')
    const cookies = (await context.cookies()).sort((a, b) => a.name.localeCompare(b.name))
    t.match(
      cookies,
      ['__Host-access_token', '__Host-refresh_token'].map(
        name => ({ name, domain: 'localhost', path: '/', httpOnly: true, secure: true, sameSite: 'Lax' })
      )
    )
    t.equal(cookies.length, 2)
    t.equal(await page.evaluate('document.cookie'), '')
    t.strictSame(await page.evaluate('({ ...localStorage, ...sessionStorage })'), {})
  })

  await t.test('a script cannot put a cookie of its own in their place', async t => {
    const before = await context.cookies()
    await page.evaluate(
      'document.cookie = "__Host-refresh_token=mine; Secure; Path=/"; document.cookie = "__Host-access_token=; Secure; Path=/; Max-Age=0"'
    )
    t.strictSame(await context.cookies(), before)
  })

  await t.test('a protected call', async t => {
    t.equal((await add(page, 'Buy milk')).status(), 201)
    await says(page, '1 notes')
    t.strictSame(await notesOf(page), ['Buy milk'])
  })

  await t.test('the tokens expire in two tabs at once: one of them refreshes, both go on', async t => {
    await second.goto(own)
    await says(second, '1 notes')
    const refreshed: string[] = []
    context.on('request', request => { if (request.url().endsWith('/auth/refresh')) refreshed.push(request.url()) })
    clock.move(LIFETIME)
    // Both hear that the token has expired before one can refresh. Not a GET: the cache lets one at a time ask for a
    // URL.
    holdTogether(app.server, '/notes', 2)
    const tabs = [page, second]
    const done = tabs.map(tab => tab.waitForResponse(response => response.status() === 201))
    for (const answer of await Promise.all(tabs.map((
      tab, i
    ) => add(tab, `From tab ${i}`)))) t.equal(answer.status(), 401)
    await Promise.all(done)
    t.equal(refreshed.length, 1)
    context.removeAllListeners('request')
    for (const tab of tabs) {
      await load(tab)
      await says(tab, '3 notes')
    }
    t.strictSame((await notesOf(page)).sort(), ['Buy milk', 'From tab 0', 'From tab 1'], 'each was written once')
  })

  await t.test('two origins have no lock in common: both refresh at once, and both go on', async t => {
    await second.goto(trusted)
    await says(second, '3 notes')
    const tabs = [page, second]
    for (let round = 0; round < 2; round++) {
      clock.move(LIFETIME)
      holdTogether(app.server, '/auth/refresh', 2)
      const answers = await Promise.all(tabs.map(tab => during(tab, '/auth/refresh', () => load(tab))))
      const sent = await Promise.all(answers.map(async answer => await answer.request().headerValue('cookie')))
      t.match(sent[0], /__Host-refresh_token=lkr_/)
      t.equal(sent[0], sent[1], 'the same token, twice')
      t.strictSame(answers.map(answer => answer.status()), [200, 200])
      for (const tab of tabs) t.equal((await during(tab, '/notes', () => load(tab))).status(), 200)
    }
    t.equal(await sessions(), 1)
  })

  await t.test('a form of another origin is refused, and changes nothing', async t => {
    const table = [
      // Not even sent along: SameSite=Lax.
      { origin: foreign, fetchSite: 'cross-site', status: 401, hasCookies: false },
      // Another port is the same site, for which SameSite does nothing: there the guard refuses.
      { origin: untrusted, fetchSite: 'same-site', status: 403, hasCookies: true }
    ]
    for (const { origin, fetchSite, status, hasCookies } of table) {
      const answer = await attack(attacker, origin)
      const headers = await answer.request().allHeaders()
      t.equal(headers['sec-fetch-site'], fetchSite)
      t.equal('cookie' in headers, hasCookies, `${fetchSite} sends cookies: ${hasCookies}`)
      t.equal(answer.status(), status)
      if (hasCookies) t.match(await answer.text(), /cross_site_request/)
    }
    // The same form from the own origin is what the route is for.
    t.equal((await attack(attacker, trusted)).status(), 201, 'a trusted origin is trusted')
    await load(page)
    await says(page, '4 notes')
    t.equal(
      (await notesOf(page)).filter(note => note === 'Written by an attacker').length, 1,
      'one, of the origin that is trusted'
    )
  })

  await t.test('scripts of another origin cannot act, and read nothing', async t => {
    for (const origin of [foreign, untrusted]) {
      await attacker.goto(`${origin}/attack.html`)
      for (const path of ['/auth/logout', '/auth/refresh']) {
        const answer = await during(
          attacker,
          path,
          () => attacker.evaluate(
            url => fetch(url, { method: 'POST', mode: 'no-cors', credentials: 'include' }), own + path
          )
        )
        // Without its cookie a refresh is none: 401.
        t.equal(answer.status(), path === '/auth/refresh' && origin === foreign ? 401 : 403, `${path} for ${origin}`)
      }
      for (const path of ['/auth/users/me', '/auth/sessions', '/notes']) {
        const read = await attacker.evaluate(
          url => fetch(url, { credentials: 'include' }).then(() => 'read it', () => 'failed'), own + path
        )
        t.equal(read, 'failed', `${path} for ${origin}`)
      }
    }
    t.equal(await sessions(), 1)
    t.equal((await during(page, '/notes', () => load(page))).status(), 200)
  })

  await t.test('logging out clears the cookies, and ends the session in every tab', async t => {
    await second.goto(own)
    await says(second, '4 notes')
    t.equal((await during(page, '/auth/logout', () => press(page, 'Log out'))).status(), 204)
    await says(page, 'You are logged out.')
    t.strictSame(await context.cookies(), [])
    t.equal(await sessions(), 0)
    await load(second)
    await says(second, 'You are logged out.')
  })

  t.strictSame(record.complaints, [], 'no policy was violated, and no script failed')
  t.strictSame([...record.origins], [own], 'no request to another host')

  await t.test('the trusted origin logs in and out by itself', async t => {
    const other = await browser.newContext()
    const page = await open(other, trusted)
    const { complaints } = watch(page)
    await says(page, 'You are logged out.')
    t.equal((await logIn(page)).status(), 200)
    await says(page, '4 notes')
    t.equal((await other.cookies()).length, 2)
    await press(page, 'Log out')
    await says(page, 'You are logged out.')
    t.strictSame(await other.cookies(), [])
    t.strictSame(complaints, [])
  })

  await t.test('an origin that is not allowed gets nothing, with the same page', async t => {
    const page = await open(await browser.newContext(), untrusted)
    await says(page, 'The API cannot be reached')
    t.notOk(await page.getByRole('button', { name: 'Load' }).isVisible())
  })
})
