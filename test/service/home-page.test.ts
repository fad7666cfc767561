import { readFile } from 'node:fs/promises'
import { fastify } from 'fastify'
import t from 'tap'
import latchkey from '../../app.js'
import { TEST_OPTIONS } from '../helper.js'
import { buildService } from './support.js'

const BROWSER = 'text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8'
const { version } = JSON.parse(await readFile('package.json', 'utf8')) as { version: string }

t.test('the root of the service says what it is: a page for browsers, JSON for programs', async t => {
  for (const [prefix, urls] of [['', ['/']], ['/auth', ['/', '/auth']]] as const) {
    const app = await buildService(t, { docs: true, prefix })
    for (const url of urls) {
      for (const accept of [undefined, '', '*/*', 'application/json', 'text/html;q=0', 'text/htmlx', 'text/*']) {
        const answer = await app.inject({ url, headers: accept === undefined ? {} : { accept } })
        t.match(answer, { statusCode: 200, headers: { 'content-type': /^application\/json/, vary: 'Accept' } })
        t.strictSame(answer.json(), {
          name: 'Latchkey',
          description: answer.json().description,
          documentation: `${prefix}/docs`,
          openapi: `${prefix}/openapi.json`,
          metadata: `${prefix}/.well-known/oauth-authorization-server`
        })
        for (const link of ['documentation', 'openapi', 'metadata']) {
          t.equal((await app.inject(answer.json()[link])).statusCode, 200, link)
        }
      }
      for (const accept of [BROWSER, 'text/html', ' TEXT/HTML ; q=0.5']) {
        const { statusCode, headers, body } = await app.inject({ url, headers: { accept } })
        t.equal(statusCode, 200)
        t.match(headers, {
          'content-type': 'text/html; charset=utf-8',
          'cache-control': 'no-store',
          vary: 'Accept',
          'x-content-type-options': 'nosniff',
          'content-security-policy': /^default-src 'none'; style-src 'sha256-[\w+/]+='; img-src data:;/
        })
        t.ok(body.includes(`href="${prefix}/docs"`))
        t.notOk(body.includes(version), 'the page does not name the version')
      }
      t.equal((await app.inject({ method: 'HEAD', url })).statusCode, 200)
      t.equal((await app.inject({ method: 'POST', url })).statusCode, 405)
    }
  }
})

t.test('the root links to no documentation that does not exist', async t => {
  const app = await buildService(t, { docs: false })
  t.strictSame(Object.keys((await app.inject('/')).json()), ['name', 'description', 'metadata'])
  t.notMatch((await app.inject({ url: '/', headers: { accept: 'text/html' } })).body, /docs|openapi/)
})

t.test("in an app, the root is the app's own", async t => {
  for (const prefix of ['', '/auth']) {
    const app = fastify()
    t.teardown(() => app.close())
    await app.register(latchkey, { ...TEST_OPTIONS, prefix, docs: true })
    t.equal((await app.inject('/')).statusCode, 404)
    t.equal((await app.inject('/auth')).statusCode, 404)
    const own = fastify()
    t.teardown(() => own.close())
    own.get('/', async () => 'mine')
    await own.register(latchkey, { ...TEST_OPTIONS, prefix })
    t.equal((await own.inject('/')).body, 'mine')
  }
})
