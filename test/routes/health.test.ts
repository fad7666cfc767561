import t from 'tap'
import { ON_POSTGRES } from '../helper.js'
import { assertProblem, buildHost, databaseFile, query, SECRET } from './support.js'

t.test('a process that answers is live, and one whose store answers is ready', async t => {
  const { app } = await buildHost(t, {})
  for (const [url, body] of [
    ['/health/live', { status: 'ok' }], ['/health/ready', { status: 'ok', revocation_index_age: Number }]
  ] as const) {
    const response = await app.inject({ url })
    t.equal(response.statusCode, 200)
    t.match(response.json(), body)
    t.strictSame(Object.keys(response.json()), Object.keys(body))
    t.equal((await app.inject({ method: 'HEAD', url })).statusCode, 200)
  }
})

t.test('with the store gone it is live and not ready, says when to come again, and not why', async t => {
  const { app, store } = await buildHost(t, {})
  await store.close()
  t.equal((await app.inject({ url: '/health/live' })).statusCode, 200)
  const response = await app.inject({ url: '/health/ready' })
  assertProblem(t, response, 503, 'revocation_unknown')
  t.match(
    response.json().detail,
    /^The revocations in the database cannot be read\. The revocation index was last complete [\d.]+ seconds ago\.$/
  )
  t.match(response.headers['retry-after'], /^\d+$/)
})

t.test('while logins cannot write, it responds that it is not ready', async t => {
  const database = databaseFile(t)
  const { app } = await buildHost(t, { database, secret: SECRET })
  if (ON_POSTGRES) {
    query(database, "create function refuse() returns trigger language plpgsql as $$ begin raise 'no' using errcode = '53100'; end $$")
    query(database, 'create trigger refuse before insert on latchkey_meta execute function refuse()')
  } else {
    query(database, "create trigger refuse before insert on latchkey_meta begin select raise(abort, 'no'); end")
  }
  const response = await app.inject({ url: '/health/ready' })
  assertProblem(t, response, 503, 'store_unavailable')
  t.match(response.json().detail, /^The database accepts no writes\. The revocation index was last complete [\d.]+ seconds/)
  t.match(response.headers['retry-after'], /^\d+$/)
  query(database, ON_POSTGRES ? 'drop trigger refuse on latchkey_meta' : 'drop trigger refuse')
  const rows = query(database, 'select name from latchkey_meta order by name')
  t.equal((await app.inject({ url: '/health/ready' })).statusCode, 200)
  t.same(query(database, 'select name from latchkey_meta order by name'), rows, 'a probe leaves nothing behind')
})

t.test('somebody who probes needs no token, and a bad one does not hinder', async t => {
  const { app } = await buildHost(t, {})
  t.equal(
    (await app.inject({
      url: '/health/ready', headers: { authorization: 'Bearer garbage', cookie: '__Host-access_token=x' }
    })).statusCode,
    200
  )
})
