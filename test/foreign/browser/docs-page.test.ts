import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import type { Locator, Page } from 'playwright-core'
import { PASSWORD } from '../../helper.js'
import { buildService } from '../../service/support.js'
import { launch, skip, watch } from './support.js'

/** Not committed: what the page looked like in the last run. */
const ARTIFACTS = join(import.meta.dirname, '..', '..', '..', '..', 'artifacts')

// On a busy machine a page of this size takes its time, also where no .taprc says so.
t.setTimeout(120_000)

t.test('log in, call, refresh and revoke from the docs page, under its policy and without another host', {
  skip
}, async t => {
  const browser = await launch(t)
  // Another name than that of the issuer: the page calls the host that it came from.
  const app = await buildService(t, { docs: true, issuer: 'https://auth.example.com' })
  const origin = await app.listen({ host: '127.0.0.1', port: 0 })
  const page = await browser.newPage()
  const record = watch(page)
  const loaded = await page.goto(`${origin}/docs`)
  t.match(loaded?.headers()['content-security-policy'], /default-src 'none'.*script-src 'self'(?!.*unsafe)/)

  const granted = await authorize(page, ['metrics:read'])
  t.match(
    granted,
    {
      status: 200,
      sent: { grant_type: 'password', username: 'alice', scope: 'metrics:read' },
      body: { scope: 'metrics:read' }
    }
  )
  const me = await open(page, 'readOwnUser')
  t.match(await execute(page, me), { status: 200, body: { username: 'alice' } })
  // The page shows the token that it sends, as part of a command to copy.
  const accessToken = /Bearer ([\w.-]+)/.exec(await me.locator('.curl-command').innerText())?.[1] ?? ''
  t.equal(accessToken, granted.body.access_token)

  const token = await open(page, 'createToken')
  const { body: { refresh_token: first = '' } } = await execute(
    page, token, { grant_type: 'password', username: 'alice', password: PASSWORD }
  )
  const refresh = await open(page, 'refresh')
  const { status, body: { refresh_token: second } } = await execute(
    page, refresh, JSON.stringify({ refresh_token: first })
  )
  t.equal(status, 200)
  t.match(second, /^lkr_/)
  t.not(second, first)

  // Whoever is logged in to the app in the same browser has another token in a cookie.
  await page.evaluate(
    body => fetch('/login', { method: 'POST', headers: { 'content-type': 'application/json' }, body }),
    JSON.stringify({ username: 'alice', password: PASSWORD })
  )
  t.equal((await page.context().cookies()).length, 2)
  t.equal((await execute(page, me)).status, 200, 'which is not in the way')

  t.match(await execute(page, await open(page, 'revokeToken'), { token: accessToken }), { status: 200 })
  t.match(await execute(page, me), { status: 401, body: { code: 'token_revoked' } })
  const shown = me.locator('.live-responses-table .response .response-col_status')
  await shown.filter({ hasText: '401' }).waitFor()

  await mkdir(ARTIFACTS, { recursive: true })
  await me.screenshot({ path: join(ARTIFACTS, 'docs-page.png') })
  t.strictSame(record.complaints, [], 'no policy was violated, and no script failed')
  t.strictSame([...record.origins], [origin], 'no request to another host')
})

interface Exchange { status: number, sent: Record<string, string>, body: Record<string, string> }

/** Does what sends a request by POST or GET, and gives it with its answer. */
async function exchange (page: Page, act: () => Promise<void>): Promise<Exchange> {
  const [response] = await Promise.all([page.waitForEvent('response'), act()])
  const posted = response.request().postData() ?? ''
  return {
    status: response.status(),
    sent: posted.startsWith('{') ? JSON.parse(posted) : Object.fromEntries(new URLSearchParams(posted)),
    body: JSON.parse(await response.text())
  }
}

/** Logs in with the dialog of the page, as a first-party app, with the scopes ticked. */
async function authorize (page: Page, scopes: string[]): Promise<Exchange> {
  await page.getByRole('button', { name: 'Authorize' }).click()
  const dialog = page.locator('.dialog-ux')
  const flow = dialog.locator('.auth-container').filter({ hasText: 'OAuth2, password' })
  await flow.locator('input[data-name=username]').fill('alice')
  await flow.locator('input[data-name=password]').fill(PASSWORD)
  for (const scope of scopes) await flow.locator('.scopes label').filter({ hasText: scope }).click()
  const granted = await exchange(page, () => flow.locator('button.authorize').click())
  await flow.getByRole('heading', { name: 'Authorized' }).waitFor()
  await dialog.locator('button.btn-done').first().click()
  return granted
}

/** Opens an operation, ready to be tried out. */
async function open (page: Page, operationId: string): Promise<Locator> {
  const block = page.locator(`.opblock[id$="-${operationId}"]`).first()
  await block.locator('.opblock-summary-control').click()
  await block.locator('button.try-out__btn').click()
  return block
}

/** Presses Execute, with a body: the text of it, or the fields of a form, of which all others are left empty. */
async function execute (page: Page, block: Locator, body?: string | Record<string, string>): Promise<Exchange> {
  if (typeof body === 'string') await block.locator('textarea').fill(body)
  else if (body !== undefined) {
    for (const row of await block.locator('tr[data-property-name]').all()) {
      const name = await row.getAttribute('data-property-name') ?? ''
      await row.locator('td input').first().fill(body[name] ?? '')
    }
  }
  return await exchange(page, () => block.locator('button.execute').click())
}
