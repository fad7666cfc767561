import { readFile } from 'node:fs/promises'
import t from 'tap'
import type { FastifyInstance, LightMyRequestResponse } from 'fastify'
import { build, ON_POSTGRES, PASSWORD } from '../helper.js'
import { assertProblem, databaseFile, query, SECRET } from '../routes/support.js'

// NIST SP 800-63B-4: what no other test proves. See the table in docs/standards.md.

let count = 0

async function register (
  app: FastifyInstance, password: string
): Promise<LightMyRequestResponse & { username: string }> {
  const username = `somebody-${count++}`
  return Object.assign(
    await app.inject({ method: 'POST', url: '/register', payload: { username, password } }), { username }
  )
}

async function logIn (app: FastifyInstance, username: string, password: string): Promise<number> {
  return (await app.inject({ method: 'POST', url: '/login', payload: { username, password } })).statusCode
}

t.test('NIST 3.1.1.2, ASVS 6.2.1, ASVS 6.2.5, ASVS 6.2.9: 15 characters at least, each code point is one, 64 and far more are allowed, and of any kind', async t => {
  const { app } = await build(t, { registration: true })
  // Not in ASCII order, because that is a sequence and easy to guess.
  const printable = String.fromCharCode(...Array.from({ length: 95 }, (_, index) => 32 + index * 37 % 95))
  const table: Array<[name: string, password: string, status: number]> = [
    ['14 characters', 'fourteen chars', 400],
    ['15 characters', 'zx7 lamp-Quoj 9', 201],
    ['14 code points of two UTF-16 units each', '🔑🚪🐴🔋🧷🌍🌋🎈🎹🧊🦊🐙🍋🥁', 400],
    ['15 code points', '🔑🚪🐴🔋🧷🌍🌋🎈🎹🧊🦊🐙🍋🥁🛶', 201],
    ['64 characters', 'sixty-four characters are what a verifier should at least permit', 201],
    ['1,000 characters', 'a long walk on a short pier '.repeat(36).slice(0, 999) + '!', 201],
    ['letters only', 'nothing but small letters', 201],
    ['digits only', '583920174658291', 201],
    ['all of printable ASCII', printable, 201],
    ['spaces at its ends', '  marble otter sings  ', 201]
  ]
  for (const [name, password, status] of table) {
    const response = await register(app, password)
    t.equal(response.statusCode, status, name)
    if (status === 400) assertProblem(t, response, 400, 'password_rejected', name)
    else t.equal(await logIn(app, response.username, password), 200, name)
  }
  await t.rejects(build(t, { passwordMinLength: 7 }), /passwordMinLength/, 'eight are the least that can be configured')
})

t.test('NIST 3.1.1.2, ASVS 6.2.8: the whole password counts, in its case and with its spaces; how its accents are put together does not', async t => {
  const { app } = await build(t, { registration: true })
  const password = 'Caf\u00e9 cr\u00e8me at the end'
  const { username } = await register(app, password)
  for (const same of [password, password.normalize('NFD')]) t.equal(await logIn(app, username, same), 200)
  for (const other of [
    password.toLowerCase(), `${password} `, ` ${password}`, password.slice(0, -1), `${password}\u0000`,
    password.replace('\u00e9', 'e')
  ]) t.equal(await logIn(app, username, other), 401, JSON.stringify(other))
})

t.test('NIST 3.1.1.2: a blocked password is refused with the reason; a common word inside a long one is allowed', async t => {
  const { app } = await build(t, { registration: true })
  const refused = await register(app, '1qaz2wsx3edc4rfv')
  assertProblem(t, refused, 400, 'password_rejected')
  t.match(refused.json().detail, /most common/)
  t.equal((await register(app, 'password is not the whole')).statusCode, 201)
})

t.test('NIST 3.1.1.2: passwords are kept as salted hashes that name their scheme and cost, and nowhere as they are', async t => {
  const file = databaseFile(t)
  const { app } = await build(t, { database: file, secret: SECRET })
  const hashes = query<{ password_hash: string }>(file, 'select password_hash from latchkey_users').map(row => row.password_hash)
  t.equal(hashes.length, 2, 'alice and bob have one password')
  for (const hash of hashes) t.match(hash, /^\$2b\$04\$[./A-Za-z0-9]{53}$/)
  t.equal(new Set(hashes.map(hash => hash.slice(7, 29))).size, 2, 'and two salts of 128 bits')
  await app.close()
  if (!ON_POSTGRES) t.notOk((await readFile(file)).includes(PASSWORD))
})

t.test('NIST 3.1.1.2, ASVS 6.2.10: no password ends with time', async t => {
  const { app, clock } = await build(t)
  clock.move(10 * 365 * 24 * 60 * 60 * 1_000)
  t.equal(await logIn(app, 'alice', PASSWORD), 200)
})

t.test('NIST 5.1.1: no cookie holds personal data, in whatever encoding', async t => {
  const { app } = await build(t)
  const response = await app.inject({
    method: 'POST',
    url: '/login',
    payload: { username: 'alice', password: PASSWORD },
    headers: { 'user-agent': 'somebody/1.0' },
    remoteAddress: '203.0.113.7'
  })
  t.equal(response.cookies.length, 2)
  for (const { name, value } of response.cookies) {
    const read = [
      value, ...value.split('.').map(part => Buffer.from(part.replace('lkr_', ''), 'base64url').toString('latin1'))
    ].join()
    for (const personal of ['alice', '203.0.113.7', 'somebody']) {
      t.notOk(
        read.includes(personal), `${name} says nothing of ${personal}`
      )
    }
  }
})

t.test('NIST 3.2.2, ASVS 6.1.1, ASVS 6.3.1: of guesses from everywhere a hundred in a row are looked at, ever slower; the owner gets in from where a session of theirs began', async t => {
  const { app, clock } = await build(t, { rateLimit: true })
  const logIn = async (address: string, password: string) => await app.inject({
    method: 'POST', url: '/login', remoteAddress: address, payload: { username: 'alice', password }
  })
  t.equal((await logIn('198.51.100.7', PASSWORD)).statusCode, 200, 'a session of the owner begins')
  let looked = 0
  let waited = 0
  for (let guess = 0; guess < 400; guess++) {
    const response = await logIn(`203.0.${guess >> 8}.${guess & 255}`, 'wrong')
    if (response.statusCode === 401) {
      looked++
      continue
    }
    assertProblem(t, response, 429, 'too_many_failures')
    const wait = Number(response.headers['retry-after'])
    waited += wait
    if (wait > 3_600) break
    clock.move(wait * 1_000)
  }
  t.equal(looked, 100)
  t.ok(waited > 3 * 24 * 3_600, `which took ${Math.round(waited / 3_600)} hours`)
  t.equal((await logIn('203.0.113.1', PASSWORD)).statusCode, 429, 'not even the right one, from where nobody is known')
  t.equal((await logIn('198.51.100.7', PASSWORD)).statusCode, 200, 'the owner, from where that session began')
})
