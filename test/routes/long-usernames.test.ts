import t from 'tap'
import { bearer, build, logIn, PASSWORD, postForm } from '../helper.js'

/** The longest email address: 64 characters, an @, and 189 more. */
const EMAIL = `${'a'.repeat(64)}@${'b.'.repeat(92)}com.x`.slice(0, 254)
/** The longest in bytes of its key, and so of the cursor of a page. */
const WIDE = '山'.repeat(254)

t.test('a username may be as long as an email address, for every way to create, find and guess an account', async t => {
  const { app } = await build(t, { registration: true, rateLimit: true })
  await app.latchkey.users.add({ username: 'admin', password: PASSWORD, scopes: ['users:read', 'users:write'] })
  const headers = bearer((await logIn(app, 'admin')).access_token)
  t.equal(EMAIL.length, 254)

  const registered = await app.inject({
    method: 'POST', url: '/register', payload: { username: EMAIL, password: PASSWORD }
  })
  t.equal(registered.statusCode, 201)
  const added = await app.inject({ method: 'POST', url: '/users', headers, payload: { username: WIDE, password: PASSWORD } })
  t.equal(added.statusCode, 201)
  const imported = `${EMAIL.slice(0, -1)}y`
  const load = app.latchkey.users.startImport()
  await load([{ line: 1, value: { username: imported, password: PASSWORD } }])
  for (const username of [EMAIL, EMAIL.toUpperCase(), WIDE, imported]) {
    t.ok((await logIn(app, username)).access_token, username.slice(-3))
    const login = await app.inject({ method: 'POST', url: '/login', payload: { username, password: PASSWORD } })
    t.equal(login.statusCode, 200)
    const found = await app.inject({ url: '/users', query: { search: username }, headers })
    t.equal(found.json<{ users: unknown[] }>().users.length, 1)
  }

  const names: string[] = []
  for (let cursor: string | null = ''; cursor !== null;) {
    const query: Record<string, string> = { limit: '1', ...(cursor === '' ? {} : { cursor }) }
    const page = (await app.inject({ url: '/users', query, headers })).json<{
      users: Array<{ username: string }>, next: string | null
    }>()
    names.push(...page.users.map(({ username }) => username))
    cursor = page.next
  }
  t.same(names, [EMAIL, imported, 'admin', 'alice', 'bob', WIDE], 'every page has a cursor that the next one takes')

  const guess = async (username: string): Promise<number> =>
    (await postForm(app, '/token', { username, password: 'wrong' })).statusCode
  for (let failure = 0; failure < 11; failure++) await guess(EMAIL)
  t.same([await guess(EMAIL), await guess(imported)], [429, 400], 'names that differ only at the end are counted apart')
})

t.test('a longer one is refused, with the limit', async t => {
  const { app } = await build(t, { registration: true })
  const response = await app.inject({
    method: 'POST', url: '/register', payload: { username: `${EMAIL}x`, password: PASSWORD }
  })
  t.equal(response.statusCode, 400)
  t.match(response.json<{ detail: string }>().detail, /254/)
})
