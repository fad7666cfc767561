import t from 'tap'
import type { Test } from 'tap'
import { LatchkeyError } from '../../../lib/errors.js'
import { anonymous } from '../../../lib/ledger/events.js'
import type { ErrorCode } from '../../../schemas/errors.js'
import type { Bucket, Throttle } from '../../../lib/throttle/throttle.js'
import {
  connectTo, createGate, createWall, createWorld, databaseIn, DAY, HOUR, isPending, MINUTE, SECOND, THROTTLE_KEY
} from '../support.js'
import type { World } from '../support.js'

const WHO = { actor: anonymous('203.0.113.9'), subject: null }
const STRANGER = { address: '203.0.113.9', sessionId: undefined }

/** What became of an attempt: the code that it was refused with, or `in`. */
async function attempt (throttle: Throttle, bucket: Bucket, outcome: ErrorCode | 'in'): Promise<ErrorCode | 'in'> {
  try {
    return await throttle.attempt(bucket, WHO, async () => {
      if (outcome !== 'in') throw new LatchkeyError(outcome)
      return outcome
    })
  } catch (error) {
    return (error as LatchkeyError).code
  }
}

async function fail (throttle: Throttle, bucket: Bucket, times: number): Promise<void> {
  for (let failure = 0; failure < times; failure++) await attempt(throttle, bucket, 'invalid_credentials')
}

async function retryAfter (throttle: Throttle, bucket: Bucket): Promise<number | undefined> {
  try {
    await throttle.attempt(bucket, WHO, async () => { throw new Error('it was looked at') })
  } catch (error) {
    return (error as LatchkeyError).retryAfter
  }
  return undefined
}

/** Begins a session of the user, as a login under this name from there would. */
async function startFrom (
  { sessions, throttle }: World, user: { id: string, username: string, scopes: readonly string[] }, address: string,
  username = user.username
): Promise<{ sessionId: string, refreshToken: string }> {
  return await sessions.start(user, { address, place: throttle.placeOf(username, address) })
}

t.test('what failed is counted, what succeeded forgives, what said nothing of the password does neither', async t => {
  const { throttle, wall } = await createWorld(t)
  const bucket = await throttle.findLoginBucket('alice', STRANGER)
  for (const code of ['invalid_credentials', 'wrong_password', 'invalid_client'] as const) {
    const one = throttle.changeBucket(code)
    for (let failure = 0; failure < 11; failure++) t.equal(await attempt(throttle, one, code), code)
    t.equal(await attempt(throttle, one, 'in'), 'too_many_failures', `${code} counts`)
  }
  for (const code of ['overloaded', 'store_unavailable', 'password_rejected', 'internal_error'] as const) {
    for (let time = 0; time < 12; time++) t.equal(await attempt(throttle, bucket, code), code)
  }
  await t.rejects(throttle.attempt(bucket, WHO, async () => { throw new TypeError('a bug') }), TypeError)
  await fail(throttle, bucket, 10)
  t.equal(await attempt(throttle, bucket, 'in'), 'in')
  await fail(throttle, bucket, 10)
  t.equal(await attempt(throttle, bucket, 'in'), 'in', 'they were counted from one again')

  await fail(throttle, bucket, 12)
  t.equal(await retryAfter(throttle, bucket), 1)
  await fail(throttle, bucket, 50)
  t.equal(await retryAfter(throttle, bucket), 1, 'what is refused is not counted')
  wall.move(SECOND)
  t.equal(await attempt(throttle, bucket, 'in'), 'in')
})

t.test('a bucket that is blocked is refused without looking, without writing, and in whole seconds, at least one', async t => {
  const file = databaseIn(t)
  const { throttle, wall } = await createWorld(t, { file })
  const bucket = await throttle.findLoginBucket('alice', STRANGER)
  await fail(throttle, bucket, 13)
  wall.move(SECOND)
  await fail(throttle, bucket, 1)
  t.equal(await retryAfter(throttle, bucket), 2)
  wall.move(1)
  t.equal(await retryAfter(throttle, bucket), 2)
  wall.move(2 * SECOND - 2)
  const other = connectTo(t, file)
  other.exec('begin immediate')
  t.equal(await retryAfter(throttle, bucket), 1, 'while another process holds the file')
  other.exec('rollback')
})

t.test('a thousand guesses at once are not all the first', async t => {
  const { throttle } = await createWorld(t)
  const bucket = await throttle.findLoginBucket('alice', STRANGER)
  const gate = createGate()
  let looked = 0
  const guesses = Array.from({ length: 1_000 }, () => throttle.attempt(bucket, WHO, async () => {
    looked++
    await gate.pass()
    throw new LatchkeyError('invalid_credentials')
  }).catch((error: LatchkeyError) => error.code))
  t.ok(await isPending(guesses[0] as Promise<unknown>))
  gate.open()
  const codes = await Promise.all(guesses)
  t.equal(looked, codes.filter(code => code === 'invalid_credentials').length)
  t.equal(codes.filter(code => code === 'too_many_failures').length, 1_000 - looked)
  t.ok(looked <= 73, `${looked} of a thousand`)
  t.equal(await retryAfter(throttle, bucket), HOUR / SECOND, 'and they cost what as many one after the other had cost')
})

t.test('nor are those that two processes get at once', async t => {
  const file = databaseIn(t)
  const wall = createWall()
  const worlds = [await createWorld(t, { file, wall }), await createWorld(t, { file, wall })]
  const gate = createGate()
  let looked = 0
  const guesses = worlds.flatMap((
    { throttle }
  ) => Array.from({ length: 60 }, async () => await throttle.attempt(throttle.changeBucket('s'), WHO, async () => {
    looked++
    await gate.pass()
    throw new LatchkeyError('wrong_password')
  }).catch((error: LatchkeyError) => error.code)))
  gate.open()
  const codes = await Promise.all(guesses)
  t.equal(looked, codes.filter(code => code === 'wrong_password').length)
  t.ok(looked >= 10 && looked <= 79, `${looked} of 120`)
})

t.test('fifty honest logins at once get in, also where nine failed before', async t => {
  const { throttle, store } = await createWorld(t)
  const bucket = await throttle.findLoginBucket('alice', STRANGER)
  await fail(throttle, bucket, 9)
  const gate = createGate()
  const logins = Array.from({ length: 50 }, () => throttle.attempt(bucket, WHO, gate.pass))
  gate.open()
  t.equal((await Promise.all(logins)).length, 50)
  t.strictSame(await store.read(db => db.selectFrom('latchkey_attempts').selectAll().execute()), [], 'and nothing is left of it')
})

t.test('two processes on one file share the counts; a restart keeps them; another secret begins anew', async t => {
  const file = databaseIn(t)
  const wall = createWall()
  const [one, two] = [await createWorld(t, { file, wall }), await createWorld(t, { file, wall })]
  const bucket = await one.throttle.findLoginBucket('alice', STRANGER)
  for (let pair = 0; pair < 6; pair++) for (const { throttle } of [one, two]) await fail(throttle, bucket, 1)
  for (const { throttle } of [one, two]) t.equal(await retryAfter(throttle, bucket), 1)
  const later = await createWorld(t, { file, wall })
  t.equal(await retryAfter(later.throttle, await later.throttle.findLoginBucket('ALICE', STRANGER)), 1)
  const rotated = await createWorld(t, { file, wall, throttleKeys: [Buffer.alloc(32, 1), THROTTLE_KEY] })
  t.equal(await attempt(rotated.throttle, await rotated.throttle.findLoginBucket('alice', STRANGER), 'in'), 'in')
})

t.test('a clock that is set back lifts a wait, but forgets no failure', async t => {
  const file = databaseIn(t)
  const wall = createWall()
  const { throttle } = await createWorld(t, { file, wall })
  const bucket = await throttle.findLoginBucket('alice', STRANGER)
  await fail(throttle, bucket, 11)
  wall.move(-10 * DAY)
  const later = await createWorld(t, { file, wall })
  await fail(later.throttle, bucket, 1)
  t.equal(await retryAfter(throttle, bucket), 2, 'the twelfth failure')
  wall.move(2 * SECOND)
  t.equal(await attempt(later.throttle, bucket, 'in'), 'in')
})

t.test('a stored attempt during which the process died is a failure', async t => {
  const file = databaseIn(t)
  const wall = createWall()
  const { throttle } = await createWorld(t, { file, wall })
  const bucket = await throttle.findLoginBucket('alice', STRANGER)
  // The first three are not stored.
  for (let lost = 0; lost < 13; lost++) throttle.attempt(bucket, WHO, createGate().pass).catch(t.error)
  const other = connectTo(t, file)
  while (other.prepare('select pending from latchkey_attempts').pluck().all().join().split(' ').length < 10) {
    await new Promise(
      resolve => setImmediate(resolve)
    )
  }
  const later = await createWorld(t, { file, wall })
  wall.move(5 * MINUTE)
  await fail(later.throttle, bucket, 1)
  t.equal(await retryAfter(later.throttle, bucket), 1, 'the eleventh')
})

t.test('a check that ends in a transaction is settled with it, or alone', async t => {
  const { throttle, store, ledger } = await createWorld(t)
  const rows = (): Promise<unknown[]> => store.read(db => db.selectFrom('latchkey_attempts').selectAll().execute())
  const check = async (): Promise<string> => 'checked'
  const bucket = throttle.changeBucket('s')

  await fail(throttle, bucket, 10)
  const result = await throttle.attemptAndWrite(bucket, WHO, {
    check,
    async write (checked, settle) {
      return await ledger.write([], async write => {
        await settle.within(write)
        t.strictSame(await write.trx.selectFrom('latchkey_attempts').selectAll().execute(), [], 'as part of the transaction')
        return `${checked} and written`
      })
    }
  })
  t.equal(result, 'checked and written')
  t.strictSame(await rows(), [])

  await fail(throttle, bucket, 10)
  await throttle.attemptAndWrite(bucket, WHO, { check, write: async () => {} })
  t.strictSame(await rows(), [], 'without a transaction')

  await fail(throttle, bucket, 10)
  await t.rejects(throttle.attemptAndWrite(bucket, WHO, {
    check,
    write: (_checked, settle) => ledger.write([], async write => {
      await settle.within(write)
      throw new LatchkeyError('invalid_credentials')
    })
  }), { code: 'invalid_credentials' })
  t.strictSame(await rows(), [], 'the check succeeded, whatever the transaction threw')

  await fail(throttle, bucket, 10)
  const wrong = {
    check: async () => { throw new LatchkeyError('invalid_credentials') }, write: async () => t.fail('it was written')
  }
  await t.rejects(throttle.attemptAndWrite(bucket, WHO, wrong), { code: 'invalid_credentials' })
  t.equal(await retryAfter(throttle, bucket), 1, 'a check that fails is the eleventh failure')
})

t.test('a stored attempt stays counted if the process dies between its check and its transaction', async t => {
  const file = databaseIn(t)
  const wall = createWall()
  const { throttle } = await createWorld(t, { file, wall })
  const bucket = throttle.changeBucket('s')
  const begun: Array<Promise<void>> = []
  const steps = {
    check: async () => {},
    async write () {
      begun.push(createGate().pass())
      await begun.at(-1)
    }
  }
  // The first three are not stored.
  for (let lost = 0; lost < 13; lost++) throttle.attemptAndWrite(bucket, WHO, steps).catch(t.error)
  while (begun.length < 13) await new Promise(resolve => setImmediate(resolve))
  const later = await createWorld(t, { file, wall })
  wall.move(5 * MINUTE)
  await fail(later.throttle, bucket, 1)
  t.equal(await retryAfter(later.throttle, bucket), 1, 'the eleventh')
})

t.test('ASVS 6.1.1, ASVS 6.3.1: an attacker with many addresses closes the bucket of strangers; the owner gets in from every known place', async t => {
  const world = await createWorld(t)
  const { throttle, sessions, wall } = world
  const alice = await world.addUser('Alice')
  const bob = await world.addUser('bob')
  const home = await startFrom(world, alice, '2001:db8:1:1::1')
  const office = await startFrom(world, alice, '198.51.100.7')
  await sessions.end(alice.id, office.sessionId)
  const foreign = await startFrom(world, bob, '192.0.2.1')

  let attacker = 0
  const strange = (): ReturnType<Throttle['findLoginBucket']> => throttle.findLoginBucket(
    'alice', { address: `203.0.113.${attacker++ % 250}`, sessionId: undefined }
  )
  for (let failure = 1; failure <= 100; failure++) {
    await fail(throttle, await strange(), 1)
    if (failure < 100) wall.move(Number(await retryAfter(throttle, await strange()) ?? 0) * SECOND)
  }
  t.equal(await retryAfter(throttle, await strange()), DAY / SECOND)

  type Row = [name: string, username: string, address: string, sessionId: string | undefined, outcome: string]
  const table: Row[] = [
    ['a stranger', 'alice', '203.0.113.9', undefined, 'too_many_failures'],
    ['with the session', 'alice', '203.0.113.9', home.sessionId, 'in'],
    ['from the network of a live session', 'ALICE', '2001:db8:1:1:ffff::2', undefined, 'in'],
    ['from the network beside it', 'alice', '2001:db8:1:2::1', undefined, 'too_many_failures'],
    ['from the address of a session that has ended', 'alice', '::ffff:198.51.100.7', undefined, 'in'],
    ["with a session of somebody else's", 'alice', '203.0.113.9', foreign.sessionId, 'too_many_failures'],
    ["from somebody else's address", 'alice', '192.0.2.1', undefined, 'too_many_failures'],
    ['with a session that never was', 'alice', '203.0.113.9', 'none', 'too_many_failures'],
    ['somebody else', 'bob', '203.0.113.9', undefined, 'in']
  ]
  for (const [name, username, address, sessionId, outcome] of table) {
    t.equal(
      await attempt(throttle, await throttle.findLoginBucket(username, { address, sessionId }), 'in'), outcome, name
    )
  }

  const known = await throttle.findLoginBucket('alice', { address: '198.51.100.7', sessionId: undefined })
  await fail(throttle, known, 11)
  t.equal(await retryAfter(throttle, known), 1, 'known places have the same rule')
  t.equal(
    await attempt(
      throttle, await throttle.findLoginBucket('alice', { address: '198.51.100.7', sessionId: home.sessionId }), 'in'
    ),
    'in',
    'each for itself'
  )
})

t.test('a place is known by an older secret, and under the name that was typed, whatever the account is called', async t => {
  const file = databaseIn(t)
  const directory = { authenticate: async () => null, find: async () => null }
  const world = await createWorld(t, { file, directory })
  await startFrom(world, { id: 'u1', username: 'Alice Liddell', scopes: [] }, '198.51.100.7', 'alice@example.com')
  const { throttle } = await createWorld(t, { file, directory, throttleKeys: [Buffer.alloc(32, 1), THROTTLE_KEY] })
  const from = { address: '198.51.100.7', sessionId: undefined }
  const key = async (
    username: string, place: typeof from | typeof STRANGER
  ): Promise<string> => (await throttle.findLoginBucket(username, place)).key
  t.not(await key('Alice@Example.com', from), await key('alice@example.com', STRANGER))
  t.equal(await key('Alice Liddell', from), await key('alice liddell', STRANGER))
})

t.test('setting the password and enabling the account let the owner in again, from everywhere', async t => {
  const world = await createWorld(t)
  const { throttle, users } = world
  const alice = await world.addUser('Alice')
  await startFrom(world, alice, '198.51.100.7')
  const places = [STRANGER, { address: '198.51.100.7', sessionId: undefined }]
  const acts: Array<[name: string, act: () => Promise<unknown>]> = [
    ['setPassword', () => users.setPassword(alice.id, 'another walrus cobalt lantern')],
    ['enable', () => users.enable(alice.id)]
  ]
  for (const [name, act] of acts) {
    const buckets = await Promise.all(places.map(place => throttle.findLoginBucket('alice', place)))
    for (const bucket of buckets) await fail(throttle, bucket, 11)
    await fail(throttle, await throttle.findLoginBucket('bob', STRANGER), 11)
    await act()
    for (const bucket of buckets) t.equal(await attempt(throttle, bucket, 'in'), 'in', name)
    t.equal(
      await attempt(throttle, await throttle.findLoginBucket('bob', STRANGER), 'in'), 'too_many_failures',
      'and nobody else'
    )
  }
  await fail(throttle, await throttle.findLoginBucket('alice', STRANGER), 11)
  await users.changePassword(alice.id, {
    current: 'another walrus cobalt lantern', password: 'a third walrus cobalt lantern', keepSession: 'x'
  })
  t.equal(
    await attempt(throttle, await throttle.findLoginBucket('alice', STRANGER), 'in'), 'too_many_failures',
    'the own change of it forgives no stranger'
  )
})

t.test("a client's secret is guessed from one network at a time", async t => {
  const { throttle } = await createWorld(t)
  await fail(throttle, throttle.clientBucket('c1', '2001:db8::1'), 11)
  t.equal(await attempt(throttle, throttle.clientBucket('c1', '2001:db8::2'), 'in'), 'too_many_failures')
  t.equal(await attempt(throttle, throttle.clientBucket('c1', '203.0.113.9'), 'in'), 'in')
  t.equal(await attempt(throttle, throttle.clientBucket('c2', '2001:db8::1'), 'in'), 'in')
})

t.test('invented clients of a network share a bucket, and so do networks beyond a thousand', async t => {
  const { throttle, store } = await createWorld(t)
  for (const id of [undefined, 'lkc_1']) {
    for (let network = 0; network < 1_010; network++) {
      await fail(throttle, await throttle.findFailureBucket(id, `10.1.${network >> 8}.${network & 255}`), 1)
    }
  }
  const rows = await store.read(db => db.selectFrom('latchkey_attempts').select('key').execute())
  t.equal(rows.length, 2 * 1_001)
  const own = throttle.clientBucket('lkc_1', '10.1.0.0')
  t.strictSame(await throttle.findFailureBucket('lkc_1', '10.1.0.0'), own, 'a network that has its own bucket keeps it')
  const shared = await throttle.findFailureBucket('lkc_1', '10.2.0.1')
  t.strictSame(shared, await throttle.findFailureBucket('lkc_1', '10.2.0.2'))
  await fail(throttle, shared, 11)
  t.equal(await throttle.isClean(throttle.clientBucket('lkc_1', '10.2.0.1')), true, 'a right secret passes')
  const other = throttle.clientBucket('lkc_2', '10.2.0.1')
  t.strictSame(await throttle.findFailureBucket('lkc_2', '10.2.0.1'), other, 'another client has its own')
})

t.test('no two buckets are one, and what is typed as a username is nowhere in the store', async t => {
  const file = databaseIn(t)
  const { throttle } = await createWorld(t, { file })
  const names = [
    'alice', 'alice ', 'a', '', '"]', 'my secret password', '[]', 'strangers', '\u0000', 'x'.repeat(1_000_000),
    'ﷺ'.repeat(128), '🔑', '\ud800'
  ]
  const buckets = await Promise.all(names.map(name => throttle.findLoginBucket(name, STRANGER)))
  const others = names.flatMap(
    (name, index) => [
      throttle.changeBucket(name), throttle.clientBucket(name, ''), throttle.clientBucket('', `192.0.2.${index}`)
    ]
  )
  t.equal(new Set(buckets.map(({ key }) => key)).size, names.length)
  t.equal(new Set([...buckets, ...others].map(({ key }) => key)).size, 4 * names.length)
  t.equal(
    new Set(names.map(text => throttle.clientBucket('c1', text).key)).size, 1,
    'a client cannot get a new bucket by sending another text instead of an address'
  )
  for (const bucket of buckets) await fail(throttle, bucket, 1)
  const rows = connectTo(t, file).prepare('select * from latchkey_attempts').all()
  t.equal(rows.length, names.length)
  t.notMatch(JSON.stringify(rows), /secret|alice|xxx/)
  for (const row of rows) t.match(row, { key: /^[\w-]{43}$/, account: /^[\w-]{43}$/ })
})

t.test('the trail has an event for each block, not for each refusal', async t => {
  const { throttle, store, wall } = await createWorld(t)
  const bucket = await throttle.findLoginBucket('alice', STRANGER)
  await fail(throttle, bucket, 10)
  const read = (): Promise<unknown[]> => store.read(
    db => db.selectFrom('latchkey_events').selectAll().where('type', '=', 'attempts_blocked').execute()
  )
  t.strictSame(await read(), [])
  await fail(throttle, bucket, 5)
  t.match(
    await read(), [{ outcome: 'failure', actor_kind: 'anonymous', address: '203.0.113.9', details: '{"failures":11}' }]
  )
  wall.move(SECOND)
  await fail(throttle, bucket, 5)
  t.match(await read(), [{}, { details: '{"failures":12}' }])
})

t.test('what is forgotten is purged in steps, and nothing else', async t => {
  const { throttle, store, wall } = await createWorld(t)
  const count = async (): Promise<number> => (await store.read(
    db => db.selectFrom('latchkey_attempts').select('key').execute()
  )).length
  for (let one = 0; one < 5; one++) await fail(throttle, throttle.changeBucket(`old${one}`), 1)
  wall.move(1)
  await fail(throttle, throttle.changeBucket('young'), 1)
  wall.move(DAY - 2)
  t.equal(await throttle.purge(3, wall()), false)
  t.equal(await count(), 6)
  wall.move(1)
  const purge = (): Promise<boolean> => throttle.purge(3, wall())
  t.strictSame([await purge(), await count(), await purge(), await count()], [true, 3, false, 1])
})

async function explain (t: Test, sql: string): Promise<string> {
  const file = databaseIn(t)
  await createWorld(t, { file })
  return (connectTo(t, file).prepare(
    `explain query plan ${sql}`
  ).all() as Array<{ detail: string }>).map(({ detail }) => detail).join('\n')
}

t.test('whether a place is known is one look into an index', async t => {
  t.match(
    await explain(t, "select id from latchkey_sessions where account in ('a', 'b') and network = 'n' limit 1"),
    /^SEARCH latchkey_sessions USING INDEX latchkey_sessions_account \(account=\? AND network=\?\)$/
  )
})
