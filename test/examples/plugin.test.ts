import t from 'tap'
import { build, PASSWORD } from '../../examples/plugin.js'
import { testOptions, withTestKit } from '../../testing/index.js'
import { bearer, logIn } from '../helper.js'

t.test('the smallest app: open, guarded, and by scope', async t => {
  const app = withTestKit(await build(testOptions))
  t.teardown(() => app.close())
  const deletion = { method: 'DELETE', url: '/items' } as const

  t.same((await app.inject('/')).json(), { hello: 'world' })
  for (const request of ['/me', '/items', deletion]) {
    t.equal(
      (await app.inject(request)).statusCode, 401, JSON.stringify(request)
    )
  }

  const tokens = await logIn(app, 'alice', { password: PASSWORD })
  t.equal(tokens.scope, 'items:read')
  t.match(
    (await app.inject({ url: '/me', headers: bearer(tokens.access_token) })).json(),
    { id: String, scopes: ['items:read'] }
  )
  t.same((await app.injectAs('alice', '/items')).json(), ['lamp'])
  t.equal((await app.injectAs('alice', deletion)).statusCode, 403)
  t.same((await app.injectAs('alice', '/items')).json(), ['lamp'], 'and nothing happened')
  t.equal((await app.injectAs({ scopes: [] }, '/items')).statusCode, 403)
  t.equal((await app.injectAs({ scopes: ['items:write'] }, deletion)).statusCode, 204)
  t.same((await app.injectAs('alice', '/items')).json(), [])
})
