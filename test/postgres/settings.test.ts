import t from 'tap'
import type { LatchkeyOptions } from '../../schemas/options.js'
import { build } from '../helper.js'
import { run } from '../commands/support.js'
import { queryPostgres } from './databases.js'
import { makeDatabase } from './nodes.js'

// Nodes compare their settings with those of the nodes that were there before.

t.setTimeout(60_000)

const FIRST = { issuer: 'https://auth.example.com', audience: ['https://a.example', 'https://b.example'] }
const SECRET = 'a secret without commas of more than 32 bytes'
const USERS = { authenticate: async () => null, find: async () => null }

t.test('a node with another issuer, audience or kind of users does not start, and writes nothing', async t => {
  const database = await makeDatabase()
  const given = { database, secret: SECRET, ...FIRST }
  const { app } = await build(t, given)
  await app.close()
  const keys = (): unknown[] => queryPostgres(database, 'select kid from latchkey_keys order by kid', [])
  const before = keys()
  const table: Array<[LatchkeyOptions, RegExp]> = [
    [
      { issuer: 'https://other.example' },
      /option issuer \(LATCHKEY_ISSUER\) is https:\/\/other.example here, and .* have https:\/\/auth.example.com\./
    ],
    [{ audience: 'https://a.example' }, /the option audience \(LATCHKEY_AUDIENCE\) is \["https:\/\/a.example"\] here/],
    [{ audience: [...FIRST.audience, 'https://c.example'] }, /the option audience/],
    [{ users: USERS }, /the option users is the users of the app here, and .* have the built-in users/],
    [{ issuer: 'https://auth.example.com/' }, /the option issuer/]
  ]
  for (const [other, says] of table) {
    await t.rejects(build(t, { ...given, algorithm: 'EdDSA', ...other }), { message: says })
    await t.rejects(build(t, { ...given, ...other }), { message: /run 'latchkey settings forget'/ })
  }
  t.same(keys(), before)
  await (await build(t, { ...given, audience: [...FIRST.audience].reverse() })).app.close()
})

t.test('if two nodes with different issuers start at the same moment, one of them is refused', async t => {
  const database = await makeDatabase()
  const results = await Promise.allSettled(['https://a.example', 'https://b.example'].map(
    issuer => build(t, { database, secret: SECRET, issuer })
  ))
  t.same(results.map(({ status }) => status).sort(), ['fulfilled', 'rejected'])
})

t.test('a difference that may be intended is logged once, and becomes the new value', async t => {
  const database = await makeDatabase()
  const given = { database, secret: SECRET, ...FIRST }
  await (await build(t, given)).app.close()
  const changed = { ...given, refreshGrace: '20s', scopes: { admin: 'Administer', extra: 'New' } }
  for (const expected of [['refreshGrace', 'scopes'], []]) {
    const lines: string[] = []
    const { app } = await build(t, changed, { logger: { level: 'warn', stream: { write: line => lines.push(line) } } })
    const warnings = lines.filter(line => line.includes('this node has other settings')).map(
      line => JSON.parse(line) as { differences: Array<{ name: string }> }
    )
    t.same(warnings.flatMap(({ differences }) => differences.map(({ name }) => name)).sort(), expected)
    await app.close()
  }
})

t.test('an administrator can change the issuer of all nodes on purpose', async t => {
  const database = await makeDatabase()
  const given = { database, secret: SECRET, ...FIRST }
  await (await build(t, given)).app.close()
  const env = { LATCHKEY_DATABASE: database, LATCHKEY_SECRET: SECRET }
  const list = await run(t.testdir(), ['settings', 'list', '--json'], { env })
  t.match(JSON.parse(list.stdout), { issuer: FIRST.issuer, users: 'the built-in users', userIds: 'text' })
  t.match(await run(t.testdir(), ['users', 'list'], { env }), { code: 0 }, 'the command line needs no issuer')

  const moved = { ...given, issuer: 'https://new.example' }
  await t.rejects(build(t, moved), { message: /does not belong/ })
  const forgotten = await run(t.testdir(), ['settings', 'forget'], { env })
  t.match(forgotten, { code: 0, stdout: /issuer +https:\/\/auth\.example\.com/ })
  await (await build(t, moved)).app.close()
  await t.rejects(build(t, given), { message: /the option issuer/ }, 'a node that was left out is refused now')
})
