import t from 'tap'
import { askRefresh, askRevoke, call, logIn, register } from '../faults/support.js'
import type { Service } from '../faults/support.js'
import { bearer, PASSWORD } from '../helper.js'
import type { TokenBody } from '../helper.js'
import { queryPostgres } from './databases.js'
import {
  describeTimes, faultsOf, isYes, logInWith, look, makeDatabase, measureEnding, must, runVerb, startNode, until
} from './nodes.js'

// Nodes as their operator has them: processes, started by the command line, on one PostgreSQL. How fast a revocation is
// elsewhere is printed; asserted is what is promised: no yes to a request that came after the bound, and none after a
// no.

const NEW_PASSWORD = 'another walrus cobalt lantern'

t.setTimeout(180_000)

function endAll (url: string, { access_token: token }: TokenBody): ReturnType<typeof call> {
  return call(url, '/logout', { headers: bearer(token), json: { target: 'all' } })
}

function changePassword (
  url: string, { access_token: token }: TokenBody, from: string, to: string
): ReturnType<typeof call> {
  return call(
    url, '/users/me/password',
    { method: 'PUT', headers: bearer(token), json: { current_password: from, new_password: to } }
  )
}

t.test('ten nodes that start at once on an empty database make one schema, one key and one administrator', async t => {
  const database = await makeDatabase()
  const nodes = await Promise.all(Array.from({ length: 10 }, () => startNode(t, database)))
  t.equal(queryPostgres(database, 'select kid from latchkey_keys', []).length, 1, 'one key')
  t.equal(queryPostgres(database, 'select id from latchkey_users', []).length, 1, 'one administrator')
  t.equal(nodes.filter(({ output }) => /created an administrator/.test(output)).length, 1, 'who is told of once')
  const migrations = queryPostgres<{ name: string }>(
    database, 'select name from latchkey_migration order by name', []
  ).map(({ name }) => name)
  t.same(migrations, [...new Set(migrations)], 'each migration once')
  t.ok(migrations.length > 0)

  const [first, ...others] = nodes
  if (first === undefined) throw new Error('There is no node')
  t.equal((await register(first.url, 'alice'))?.status, 201)
  const { access_token: token } = await logIn(first.url, 'alice')
  for (const { url } of others) t.ok(isYes(await look(url, token)), 'a token of one is good at each')
  t.same(
    await measureEnding(
      t, others, token, () => must(200, askRevoke(first.url, token)), 'ten nodes'
    ).then(({ length }) => length),
    9
  )
  t.same(nodes.flatMap(faultsOf), [])
})

t.test('what ends on one node the others refuse within the bound, also while their listeners are killed', async t => {
  const database = await makeDatabase()
  const [one, ...others] = await Promise.all([startNode(t, database), startNode(t, database), startNode(t, database)])
  await must(201, register(one.url, 'alice'))
  let times: number[] = []
  async function measure (name: string, token: string, end: () => Promise<unknown>): Promise<void> {
    times.push(...await measureEnding(t, others, token, end, name))
  }
  async function measureAll (): Promise<void> {
    const single = await logIn(one.url, 'alice')
    await measure('a token', single.access_token, () => must(200, askRevoke(one.url, single.access_token)))
    const {
      access_token: refreshed, refresh_token: session
    } = await must(200, askRefresh(one.url, single.refresh_token)) as unknown as TokenBody
    await measure('a session', refreshed, () => must(200, askRevoke(one.url, session)))
    const user = await logIn(one.url, 'alice')
    await measure('a user', user.access_token, () => must(204, endAll(one.url, user)))
  }

  for (let round = 0; round < 10; round++) await measureAll()
  t.comment(`a revocation by HTTP, three processes: ${describeTimes(times)}`)

  const listeners = (): Array<{ pid: number }> => queryPostgres(
    database,
    "select pid from pg_stat_activity where datname = current_database() and application_name = 'latchkey listener'", []
  )
  times = []
  for (let round = 0; round < 4; round++) {
    const before = listeners().map(({ pid }) => pid)
    t.equal(before.length, 3, 'each has one listener')
    queryPostgres(
      database, 'select pg_terminate_backend(pid) from unnest(string_to_array(?, \',\')::int[]) as pid', [before.join()]
    )
    await measureAll()
    await until('listeners again', async () => listeners().filter(({ pid }) => !before.includes(pid)).length === 3)
  }
  t.comment(`with the listeners killed just before: ${describeTimes(times)}`)

  // By other processes: the command line beside the nodes. Where it does not say when it was done, its end is later.
  times = []
  const user = await logIn(one.url, 'alice')
  await measure(
    'a password set', user.access_token, () => runVerb(database, ['users', 'set-password', 'alice'], NEW_PASSWORD)
  )
  const added = JSON.parse(
    await runVerb(database, ['clients', 'add', 'billing', '--scope', 'users:read', '--json'])
  ) as { id?: string, client_id?: string, secret?: string, client_secret?: string }
  const id = added.client_id ?? added.id ?? ''
  const machine = await must(
    200,
    call(
      one.url,
      '/token',
      {
        form: {
          grant_type: 'client_credentials', client_id: id, client_secret: added.client_secret ?? added.secret ?? ''
        }
      }
    )
  )
  await measure('a client', String(machine.access_token), () => runVerb(database, ['clients', 'remove', id, '--yes']))
  const { access_token: token } = await logInWith(one.url, 'alice', NEW_PASSWORD)
  const { kid } = JSON.parse(Buffer.from(token.split('.')[0] ?? '', 'base64url').toString()) as { kid: string }
  await measure('a key', token, () => runVerb(database, ['keys', 'revoke', kid, '--yes']))
  t.comment(`by the command line: ${describeTimes(times)}`)
  for (const { url } of [one, ...others]) {
    t.ok(
      isYes(await look(url, (await logInWith(others[0]?.url ?? '', 'alice', NEW_PASSWORD)).access_token)),
      'the next key signs, and is known everywhere'
    )
  }
  for (const { errors } of [one, ...others]) t.equal(errors, '')
})

/** A process whose clock is off. */
function offBy (milliseconds: number): string[] {
  return ['--import', `data:text/javascript,const now=Date.now;Date.now=()=>now()+(${milliseconds})`]
}

t.test('nodes whose clocks are half a minute ahead and behind agree', async t => {
  const database = await makeDatabase()
  const nodes = await Promise.all([
    startNode(t, database), startNode(t, database, { nodeArgs: offBy(30_000) }),
    startNode(t, database, { nodeArgs: offBy(-30_000) })
  ])
  const [right, ahead, behind] = nodes as [Service, Service, Service]
  await must(201, register(right.url, 'alice'))
  let password = PASSWORD
  async function logInEverywhere (when: string): Promise<TokenBody[]> {
    const all = []
    for (const { url } of nodes) all.push(await logInWith(url, 'alice', password))
    for (const [from, { access_token: token }] of all.entries()) {
      for (const [at, { url }] of nodes.entries()) {
        t.ok(
          isYes(await look(url, token)), `${when}: a token of node ${from} is good at node ${at}, at once`
        )
      }
    }
    return all
  }

  for (const node of [behind, ahead, right]) {
    const others = nodes.filter(other => other !== node)
    const [single, session] = await logInEverywhere('before') as [TokenBody, TokenBody, TokenBody]
    await measureEnding(
      t, others, single.access_token, () => must(200, askRevoke(node.url, single.access_token)), 'a token'
    )
    await measureEnding(
      t, others, session.access_token, () => must(200, askRevoke(node.url, session.refresh_token)), 'a session'
    )

    const next = password === PASSWORD ? NEW_PASSWORD : PASSWORD
    const changers = await logInEverywhere('before a new password')
    const [changer, victim] = changers as [TokenBody, TokenBody, TokenBody]
    await measureEnding(
      t, others, victim.access_token, () => must(204, changePassword(node.url, changer, password, next)),
      'a new password'
    )
    password = next
    const heirs = await logInEverywhere('after a new password')
    const [heir] = heirs as [TokenBody, TokenBody, TokenBody]
    await measureEnding(t, others, heir.access_token, () => must(204, endAll(node.url, heir)), 'a logout everywhere')
    for (const { access_token: token } of heirs) {
      for (const { url } of nodes) t.equal((await look(url, token)).status, 401, 'all that were issued before')
    }
    await logInEverywhere('after a logout everywhere')
  }
  t.same(nodes.flatMap(faultsOf), [])
})
