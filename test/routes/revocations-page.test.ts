import t from 'tap'
import { bearer } from '../helper.js'
import { buildFeed, insertRules } from './feed-support.js'
import { assertProblem, databaseFile } from './support.js'
import { revokeToken } from '../revoke-token.js'

const MINUTE = 60_000

t.test('the page: paging, ETag, and what is refused', async t => {
  const file = databaseFile(t)
  const { app, clock, token } = await buildFeed(t, { database: file })
  const get = (search: string, headers = {}) => app.inject({
    url: `/revocations${search}`, headers: { ...bearer(token), ...headers }
  })
  const empty = await get('')
  t.match(empty.json(), { cursor: /^[0-9a-z]+-[0-9a-z]+-0$/, more: false, rules: [] })
  const values = insertRules(file, 2_500, clock() + MINUTE)
  const found: string[] = []
  let after = empty.json().cursor
  for (const [expected, more] of [[900, true], [900, true], [700, false]] as const) {
    const page = (await get(`?after=${after}&limit=900`)).json()
    t.strictSame(Object.keys(page), ['cursor', 'more', 'horizon', 'keys', 'rules', 'roles'])
    t.equal(page.rules.length, expected)
    t.equal(page.more, more)
    found.push(...page.rules.map(({ value }: { value: string }) => value))
    after = page.cursor
  }
  t.strictSame(found, values)
  t.equal((await get('')).json().rules.length, 1_000, 'a thousand where nothing is asked')
  t.equal((await get('?limit=1000')).json().rules.length, 1_000)

  const level = await get(`?after=${after}`)
  t.match(
    level.headers,
    {
      'cache-control': 'private, no-cache',
      vary: 'Accept',
      etag: /^"[\w-]{43}"$/,
      'revocation-time': String(clock()),
      'revocation-as-of': /^-?\d+$/
    }
  )
  t.match(level.json(), { cursor: after, more: false, rules: [] })
  const etag = String(level.headers.etag)
  for (const tag of [etag, `W/${etag}`, `"x", ${etag}`, '*']) {
    const same = await get(`?after=${after}`, { 'if-none-match': tag })
    t.equal(same.statusCode, 304, tag)
    t.equal(same.body, '')
    t.match(
      same.headers,
      { etag, 'revocation-as-of': /^-?\d+$/, 'revocation-time': String(clock()), 'cache-control': 'private, no-cache' }
    )
  }
  t.equal((await get(`?after=${after}`, { 'if-none-match': '"x"' })).statusCode, 200)
  const head = await app.inject({
    method: 'HEAD', url: `/revocations?after=${after}`, headers: { ...bearer(token), 'if-none-match': etag }
  })
  t.match(head, { statusCode: 304, body: '' })
  await revokeToken(app.latchkey.revocations, 'x', clock() + MINUTE)
  t.match(
    (await get(`?after=${after}`, { 'if-none-match': etag })).json(),
    { rules: [{ kind: 'token', value: 'x', expires_at: clock() + MINUTE }] }
  )
  await app.latchkey.keys.rotate()
  t.not((await get(`?after=${after}`)).headers.etag, (await get('')).headers.etag)

  for (const limit of ['0', '1001', '-1', '1e2', '', 'x', '01', '1.0', '1&limit=2']) {
    const refused = await get(`?limit=${limit}`)
    assertProblem(t, refused, 400, 'invalid_request', `limit=${limit}`)
    t.match(refused.json().detail, /'limit'/)
  }
  for (const wrong of ['?x=1', '?after=a&after=b']) assertProblem(t, await get(wrong), 400, 'invalid_request', wrong)
})

t.test('only who accepts events is sent them', async t => {
  const { app, token } = await buildFeed(t)
  const typeOf = async (accept: string) => (await app.inject({
    method: 'HEAD', url: '/revocations', headers: { ...bearer(token), accept }
  })).headers['content-type']
  for (const accept of [
    'text/event-stream', 'TEXT/Event-Stream', 'text/event-stream;q=0.5', 'application/json;q=0.1, text/event-stream',
    'text/event-stream; charset=utf-8'
  ]) t.equal(await typeOf(accept), 'text/event-stream', accept)
  for (const accept of [
    '', '*/*', 'text/*', 'application/json', 'text/html', 'text/event-stream;q=0', 'text/event-stream;q=0.000',
    'text/event-streams'
  ]) t.match(await typeOf(accept), /^application\/json/, accept)
})
