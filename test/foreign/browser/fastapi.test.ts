import { createServer } from 'node:http'
import { join } from 'node:path'
import t from 'tap'
import type { Test } from 'tap'
import type { Page, Response } from 'playwright-core'
import { PASSWORD } from '../../helper.js'
import { listenOn } from '../../verifier/support.js'
import { freePort, startProgram } from '../../programs.js'
import { PYTHON, serve, skipWithoutPython } from '../support.js'
import { launch, skip, watch } from './support.js'

// Pages that were written for FastAPI: one that posts FormData, and the Swagger UI of a FastAPI app.

t.setTimeout(120_000)

const LOGIN = { username: 'alice', password: PASSWORD }

/** Serves an empty page. */
async function createPage (t: Test): Promise<string> {
  return await listenOn(t, createServer((_request, response) => {
    response.setHeader('content-type', 'text/html').end('<!doctype html><title>Page</title>')
  }))
}

/** Logs in with FormData, calls a protected route, revokes with FormData, and calls again. Runs in the page. */
const LOG_IN_AND_OUT = `async ({ issuer, login }) => {
  const post = async (path, fields) => {
    const body = new FormData()
    for (const [name, value] of Object.entries(fields)) body.append(name, value)
    return await fetch(issuer + path, { method: 'POST', body })
  }
  const granted = await post('/token', login)
  const { access_token: token, refresh_token: refreshToken } = await granted.json()
  const call = () => fetch(issuer + '/users/me', { headers: { Authorization: 'Bearer ' + token } })
  const before = await call()
  const { username } = await before.json()
  const revoked = await post('/revoke', { token: refreshToken })
  const after = await call()
  return { statuses: [granted, before, revoked, after].map(({ status }) => status), username }
}`

t.test('a page logs in and revokes with FormData, from its own origin and from another', { skip }, async t => {
  const browser = await launch(t)
  const [listed, unlisted] = [await createPage(t), await createPage(t)]
  const { issuer } = await serve(t, { corsOrigins: [listed] })
  const run = async (url: string): Promise<unknown> => {
    const page = await browser.newPage()
    await page.goto(url)
    return await page.evaluate(`(${LOG_IN_AND_OUT})(${JSON.stringify({ issuer, login: LOGIN })})`)
  }
  const expected = { statuses: [200, 200, 200, 401], username: 'alice' }
  t.strictSame(await run(listed), expected, 'another origin that corsOrigins lists')
  // A page for its own origin is any document from there that has no policy.
  t.strictSame(await run(`${issuer}/protected-route`), expected, 'the same origin')
  await t.rejects(run(unlisted), /Failed to fetch/, 'the browser enforces CORS')
})

/** An app as in the chapter "OAuth2 scopes" of the tutorial of FastAPI. It checks tokens with the published keys. */
const PROGRAM = `
import sys
import jwt, uvicorn
from fastapi import Depends, FastAPI, HTTPException, Security
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.security import OAuth2PasswordBearer, SecurityScopes
from fastapi.staticfiles import StaticFiles

issuer, port, files = sys.argv[1:]
app = FastAPI(docs_url=None)
bearer = OAuth2PasswordBearer(
    tokenUrl=issuer + "/token", scopes={"items:read": "Read items", "items:write": "Change items"}
)
keys = jwt.PyJWKClient(issuer + "/.well-known/jwks.json")

def current_user(needed: SecurityScopes, token: str = Depends(bearer)):
    challenge = {"WWW-Authenticate": "Bearer"}
    try:
        key = keys.get_signing_key_from_jwt(token).key
        claims = jwt.decode(token, key, algorithms=["ES256"], issuer=issuer, audience=issuer)
    except jwt.PyJWTError:
        raise HTTPException(401, "Invalid token", challenge)
    if any(scope not in claims["scope"].split() for scope in needed.scopes):
        raise HTTPException(403, "Not enough permissions", challenge)
    return claims

@app.get("/items")
def items(claims: dict = Security(current_user, scopes=["items:read"])):
    return {"owner": claims["sub"], "scope": claims["scope"]}

@app.get("/docs", include_in_schema=False)
def docs():
    return get_swagger_ui_html(
        openapi_url="/openapi.json",
        title="Docs",
        swagger_js_url="/files/swagger-ui-bundle.js",
        swagger_css_url="/files/swagger-ui.css",
        swagger_favicon_url="/files/favicon-32x32.png",
    )

app.mount("/files", StaticFiles(directory=files))
uvicorn.run(app, host="127.0.0.1", port=int(port), log_level="warning")
`

/** The files of swagger-ui-dist. FastAPI's page loads them from a public host otherwise. */
const FILES = join(import.meta.dirname, '../../../../node_modules/@fastify/swagger-ui/static')

t.test('the Swagger UI of a FastAPI app on another origin', {
  skip: skip !== false ? skip : skipWithoutPython('cryptography', 'fastapi', 'jwt', 'uvicorn')
}, async t => {
  const browser = await launch(t)
  const port = await freePort()
  const own = `http://127.0.0.1:${port}`
  const { app, issuer } = await serve(t, { corsOrigins: [own] })
  const args = ['-c', PROGRAM, issuer, String(port), FILES]
  // The app reads our keys without the proxy of the machine.
  await startProgram(t, { command: PYTHON, args, env: { no_proxy: '127.0.0.1' }, url: `${own}/openapi.json` })
  const owner = (await app.latchkey.users.findByName('alice'))?.id

  const page = await browser.newPage()
  const record = watch(page)
  const block = page.locator('.opblock').filter({ hasText: '/items' })
  const dialog = page.locator('.dialog-ux')
  const execute = (): Promise<Response> => during(page, `${own}/items`, () => block.locator('button.execute').click())
  const open = async (): Promise<void> => {
    await page.goto(`${own}/docs`)
    await block.locator('.opblock-summary-control').click()
    await block.locator('button.try-out__btn').click()
    await page.locator('.auth-wrapper button.authorize').click()
    await dialog.locator('#oauth_username').fill('alice')
  }
  const authorize = async (password: string): Promise<Response> => {
    await dialog.locator('#oauth_password').fill(password)
    return await during(page, `${issuer}/token`, () => dialog.locator('button.authorize').click())
  }
  const close = async (): Promise<void> => {
    await dialog.getByRole('heading', { name: 'Authorized' }).waitFor()
    await dialog.locator('button.btn-done').click()
  }

  await t.test('with one scope, and the fields for a client as they are', async t => {
    await open()
    await dialog.locator('.scopes label').filter({ hasText: 'items:read' }).first().click()
    t.equal((await authorize('wrong')).status(), 400, 'a wrong password')
    await dialog.locator('.errors').filter({ hasText: 'invalid_grant' }).waitFor()
    const granted = await authorize(PASSWORD)
    t.match(await granted.json(), { scope: 'items:read' })
    t.match(await granted.request().allHeaders(), { 'x-requested-with': 'XMLHttpRequest', authorization: 'Basic Og==' })
    await close()
    const response = await execute()
    t.equal(response.status(), 200)
    t.strictSame(await response.json(), { owner, scope: 'items:read' })
    await block.locator('.live-responses-table').filter({ hasText: '"owner"' }).waitFor()
  })

  await t.test('with no scope, and the client in the body', async t => {
    await open()
    await dialog.locator('#password_type').selectOption('request-body')
    const granted = await authorize(PASSWORD)
    t.notMatch(granted.request().postData(), /scope|client/, 'empty fields are not sent')
    t.equal((await granted.request().allHeaders()).authorization, undefined)
    t.match(await granted.json(), { scope: 'admin items:read' })
    await close()
    t.strictSame(await (await execute()).json(), { owner, scope: 'admin items:read' })
  })

  await t.test('without a token', async t => {
    await open()
    await dialog.locator('button.btn-done').click()
    t.equal((await execute()).status(), 401)
  })
  t.strictSame(record.complaints, [], 'no request was blocked')
  t.strictSame([...record.origins].sort(), [own, issuer].sort(), 'no request to another host')
})

/** Returns the response to the request that an action makes the page send. It is not the one to a preflight. */
async function during (page: Page, url: string, act: () => Promise<void>): Promise<Response> {
  const [response] = await Promise.all([
    page.waitForResponse(response => response.url() === url && response.request().method() !== 'OPTIONS'), act()
  ])
  return response
}
