import t from 'tap'
import type { Test } from 'tap'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { build as buildExample, either, PASSWORD } from '../../examples/custom-policy.js'
import type { Rule } from '../../examples/custom-policy.js'
import { createTestClock, testOptions, withTestKit } from '../../testing/index.js'
import type { TestClock, TestKit } from '../../testing/index.js'
import { bearer, logIn } from '../helper.js'

async function build (t: Test): Promise<{
  app: FastifyInstance & TestKit, clock: TestClock, write: (who: string) => Promise<string>
}> {
  const clock = createTestClock()
  const app = withTestKit(await buildExample({ ...testOptions, now: clock }))
  t.teardown(() => app.close())
  async function write (who: string): Promise<string> {
    const response = await app.injectAs(who, { method: 'POST', url: '/notes', payload: { text: 'first' } })
    t.equal(response.statusCode, 201)
    return `/notes/${response.json().id}`
  }
  return { app, clock, write }
}

const change = (url: string) => ({ method: 'PUT', url, payload: { text: 'second' } }) as const

t.test('a note is for its tenant: for others it is not there', async t => {
  const { app, write } = await build(t)
  const url = await write('ada')
  t.equal((await app.inject(url)).statusCode, 401, 'nobody')
  for (const who of ['ada', 'bob']) t.equal((await app.injectAs(who, url)).json().text, 'first', who)

  const nothing = await app.injectAs('eve', '/notes/99')
  t.equal(nothing.statusCode, 404)
  for (const request of [{ method: 'GET', url } as const, change(url)]) {
    const response = await app.injectAs('eve', request)
    t.equal(response.statusCode, 404)
    t.equal(response.body, nothing.body, `${request.method}: as if it were not there`)
  }

  const nowhere = { scopes: ['moderate', 'notes:write'] }
  t.equal((await app.injectAs(nowhere, url)).statusCode, 404, 'an account without a tenant')
  t.equal(
    (await app.injectAs(nowhere, '/notes/99')).statusCode, 404, 'undefined is not the tenant of what is not there'
  )
  t.equal((await app.injectAs(nowhere, { method: 'POST', url: '/notes', payload: { text: 'x' } })).statusCode, 403)
  t.equal(
    (await app.injectAs({ scopes: [] }, { method: 'POST', url: '/notes', payload: { text: 'x' } })).statusCode, 403
  )
})

t.test('a note is changed by its owner for ten minutes, by a moderator of the tenant at any time', async t => {
  const { app, clock, write } = await build(t)
  const [adas, bobs] = [await write('ada'), await write('bob')]
  t.equal((await app.inject(change(adas))).statusCode, 401)
  t.equal((await app.injectAs('ada', change(bobs))).statusCode, 403, 'not the owner')
  clock.advance('9m')
  t.equal((await app.injectAs('ada', change(adas))).json().text, 'second')
  clock.advance('1m')
  t.equal((await app.injectAs('ada', change(adas))).statusCode, 403, 'too late')
  t.equal((await app.injectAs('bob', change(adas))).statusCode, 200, 'a moderator')
})

t.test('the last step up: who logged in a while ago does so again, and a refresh is no login', async t => {
  const { app, clock, write } = await build(t)
  const url = await write('bob')
  const remove = (token: string) => app.inject({ method: 'DELETE', url: '/notes', headers: bearer(token) })
  const tokens = await logIn(app, 'bob', { password: PASSWORD })
  clock.advance('5m')
  const { access_token: refreshed } = (await app.inject({
    method: 'POST', url: '/refresh', payload: { refresh_token: tokens.refresh_token }
  })).json()
  for (const token of [tokens.access_token, refreshed]) {
    const response = await remove(token)
    t.equal(response.statusCode, 401)
    t.match(response.headers['www-authenticate'], /^Bearer error="insufficient_user_authentication", .*max_age="300"$/)
  }
  t.equal(
    (await app.injectAs('ada', { method: 'DELETE', url: '/notes' })).statusCode, 403, 'no moderator, however lately'
  )
  t.equal((await app.injectAs('eve', { method: 'DELETE', url: '/notes' })).statusCode, 204, 'of another tenant')
  t.equal((await app.injectAs('bob', url)).statusCode, 200, 'whose notes alone are gone')
  t.equal((await remove((await logIn(app, 'bob', { password: PASSWORD })).access_token)).statusCode, 204)
  t.equal((await app.injectAs('bob', url)).statusCode, 404)
})

t.test('either: only true is a yes, what throws refuses, and nothing is no', async t => {
  const request = {} as FastifyRequest
  const rule = (value: unknown): Rule => () => value as boolean
  const fails: Rule = () => { throw new Error('the tenants are down') }
  t.equal(await either(rule(false), rule(Promise.resolve(true)))(request), true)
  for (const value of [
    false, undefined, null, 1, 'true', {}, Promise.resolve(false), Promise.resolve({})
  ]) t.equal(await either(rule(value))(request), false)
  t.equal(await either()(request), false)
  await t.rejects(async () => await either(fails, rule(true))(request), /down/)
})
