import { createPrivateKey, generateKeyPairSync } from 'node:crypto'
import t from 'tap'
import type { Test } from 'tap'
import type { KeyView } from '../../../lib/keys/keyring.js'
import { ALGORITHMS } from '../../../schemas/algorithms.js'
import type { Algorithm } from '../../../schemas/algorithms.js'
import { deriveKeys, unseal } from '../../../lib/keys/secrets.js'
import { connectTo, createWall, createWorld, databaseIn, KEY_SECRET, MINUTE, openKeys } from '../support.js'
import type { Wall } from '../support.js'

const OTHER = 'another secret of thirty-two bytes or more'

/** Opens the keys of a file as a process of its own would. */
async function open (t: Test, file: string, options: Parameters<typeof openKeys>[1] = {}, wall: Wall = createWall()) {
  const world = await createWorld(t, { file, wall })
  return { world, ...await openKeys(world, options) }
}

const MEMBERS: Record<Algorithm, string[] | null> = {
  ES256: ['alg', 'crv', 'kid', 'kty', 'use', 'x', 'y'],
  EdDSA: ['alg', 'crv', 'kid', 'kty', 'use', 'x'],
  RS256: ['alg', 'e', 'kid', 'kty', 'n', 'use'],
  PS256: ['alg', 'e', 'kid', 'kty', 'n', 'use'],
  HS256: null
}

for (const algorithm of ALGORITHMS) {
  t.test(`${algorithm}: made once, kept sealed, public members only in the JWK`, async t => {
    const file = databaseIn(t)
    const { keyring, keys } = await open(t, file, { algorithm })
    const now = createWall()()
    const [key, ...more] = await keys.list()
    t.same(more, [])
    t.match(
      key,
      {
        algorithm,
        state: 'active',
        signs: true,
        createdAt: now,
        activatesAt: now,
        retiresAt: null,
        expiresAt: null,
        revokedAt: null
      }
    )
    const signer = keyring.signer(now)
    t.equal(signer.kid, key?.kid)
    t.same(signer.jwk === null ? null : Object.keys(signer.jwk).sort(), MEMBERS[algorithm])
    if (signer.jwk !== null) t.match(signer.jwk, { kid: signer.kid, alg: algorithm, use: 'sig' })

    const row = connectTo(t, file).prepare('select * from latchkey_keys').get() as Record<string, unknown> & {
      kid: string, sealed: string
    }
    const text = unseal(deriveKeys([KEY_SECRET])[0].seal, row.sealed, `${row.kid} ${algorithm}`)
    if (text === undefined) throw new Error('it does not open')
    const shown = Object.values(row).map(String).join('\n')
    if (algorithm === 'HS256') {
      const bytes = Buffer.from(text, 'base64url')
      t.ok(bytes.length >= 32)
      for (const encoding of ['base64url', 'base64', 'hex'] as const) {
        t.notOk(
          shown.includes(bytes.toString(encoding)), encoding
        )
      }
    } else {
      const { d, p, q } = createPrivateKey(text).export({ format: 'jwk' })
      for (const part of [d, p, q]) {
        if (part !== undefined) {
          t.notOk(
            shown.includes(part), 'no private member in the row'
          )
        }
      }
      if (algorithm === 'RS256' || algorithm === 'PS256') {
        t.equal(
          createPrivateKey(text).asymmetricKeyDetails?.modulusLength, 2048
        )
      }
    }

    t.same(await (await open(t, file, { algorithm })).keys.list(), [key], 'the next process finds it')
  })
}

t.test('changing the algorithm makes one more key and keeps the others, oldest first', async t => {
  const file = databaseIn(t)
  const wall = createWall()
  for (const [count, algorithm] of ALGORITHMS.entries()) {
    wall.move(1)
    const { keys } = await open(t, file, { algorithm }, wall)
    t.same((await keys.list()).map(key => key.algorithm), ALGORITHMS.slice(0, count + 1))
  }
  const { keys } = await open(t, file, { algorithm: 'ES256' }, wall)
  t.equal((await keys.list()).length, ALGORITHMS.length, 'and back again makes none')
})

t.test('processes that start at once make one key, and all of them have it', async t => {
  const file = databaseIn(t)
  // In one thread the opening of a file waits for nobody; what comes after it does.
  const worlds = [
    await createWorld(t, { file }), await createWorld(t, { file }), await createWorld(t, { file }),
    await createWorld(t, { file })
  ]
  const lists = await Promise.all(worlds.map(async world => await (await openKeys(world)).keys.list()))
  t.equal(new Set(lists.map(list => JSON.stringify(list))).size, 1)
  t.equal(lists[0]?.length, 1)
})

t.test('a wrong secret: one sentence that names the option, and nothing is made or changed', async t => {
  const file = databaseIn(t)
  const { keys } = await open(t, file)
  const [key] = await keys.list()
  const rows = connectTo(t, file).prepare('select * from latchkey_keys')
  const before = rows.all()
  for (const algorithm of ALGORITHMS) {
    await t.rejects(open(t, file, { algorithm, secrets: [OTHER] }), {
      message:
        `The option secret (LATCHKEY_SECRET, or the .secret file beside the database) does not open the signing key ${key?.kid}: give the secret that this database was made with`
    }, algorithm)
  }
  t.same(rows.all(), before)
})

t.test('in repair mode the keys open with a wrong secret, and no key is made until the last is revoked', async t => {
  const file = databaseIn(t)
  const { keys } = await open(t, file)
  await keys.rotate({ immediately: true })
  // Two keys of the same millisecond have no defined order.
  const [first, second] = (await keys.list()).sort((a, b) => Number(a.signs) - Number(b.signs))
  const repair = await open(t, file, { secrets: [OTHER], isRepair: true })
  t.same(
    (await repair.keys.list()).map(({ state, problem }) => [state, problem]),
    [
      ['unusable', 'secret'],
      ['unusable', 'secret']
    ]
  )
  t.equal(await repair.keys.rotateIfDue(), undefined)
  t.match(await repair.keys.revoke(String(first?.kid)), { state: 'revoked', problem: null })
  t.equal((await repair.keys.list()).length, 2, 'the other one may be good')
  await t.rejects(open(t, file, { secrets: [OTHER] }), /does not open the signing key/)
  await t.resolves(open(t, file), 'the right secret still opens it')
  await repair.keys.revoke(String(second?.kid))
  t.same(
    (await repair.keys.list()).map(({ state }) => state).sort(),
    ['active', 'revoked', 'revoked'],
    'revoking the last key settles it'
  )
  await t.resolves(open(t, file, { secrets: [OTHER] }))
})

t.test('a damaged row is skipped, reported once, listed, and erased by revoking it', async t => {
  const damages: Record<string, string> = {
    'an unknown algorithm': "algorithm = 'XX999'",
    'an algorithm that is not text': "algorithm = x'00'",
    'no seal': "sealed = ''",
    'a seal that is not text': "sealed = x'0102'",
    'a seal that is cut off': 'sealed = substr(sealed, 1, 20)',
    'half a seal': 'sealed = substr(sealed, 1, 60)',
    'another seal': "sealed = substr(sealed, 1, 40) || 'AAAA' || substr(sealed, 45)",
    'a date that is a text': "created_at = 'yesterday'",
    'a date that is not a moment': 'created_at = 9000000000000000',
    'an activation that is a text': "activates_at = 'soon'",
    'a revocation that is a text': "revoked_at = 'yes'",
    'a scope that is not text': "scope = x'00'",
    'an issuer that is not text': "issuer = x'00'",
    'no name': 'kid = null',
    'a name that is not text': "kid = x'00ff'"
  }
  for (const [name, damage] of Object.entries(damages)) {
    const file = databaseIn(t)
    const { keys: before } = await open(t, file)
    await before.importVerifyOnlyKey(Buffer.from('a secret of an older system, long enough'), {
      algorithm: 'HS256',
      kid: 'old'
    })
    const other = connectTo(t, file)
    other.exec(`update latchkey_keys set ${damage} where kid != 'old'`)
    const { world, keys, tokens, warnings } = await open(t, file)
    const damaged = (await keys.list()).filter(({ state }) => state === 'unusable')
    t.equal(damaged.length, 1, name)
    t.equal(warnings.length, 1, name)
    const user = await world.addUser()
    t.match(
      await tokens.verify(await tokens.sign(await world.sessions.start(user))),
      { id: user.id },
      `${name}: another key signs`
    )
    await t.resolves(world.revocations.revokeUser(user.id), name)
    t.match(await keys.revoke(String(damaged[0]?.kid)), { state: 'revoked', problem: null }, name)
    t.same((await keys.list()).filter(({ state }) => state === 'unusable'), [], name)
    await t.resolves(open(t, file), name)
    other.close()
  }
})

t.test('a damaged row that appears while the service runs takes nothing down', async t => {
  const file = databaseIn(t)
  const { world, keys, tokens, warnings } = await open(t, file)
  const user = await world.addUser()
  const token = await tokens.sign(await world.sessions.start(user))
  const other = connectTo(t, file)
  const insert = other.prepare(
    'insert into latchkey_keys (kid, algorithm, sealed, created_at, activates_at) values (?, ?, ?, ?, ?)'
  )
  insert.run('one', 'ES256', 'A'.repeat(200), world.wall() + 1, world.wall())
  insert.run('two', 'ES512', 'x', 'never', 'never')
  t.match(await tokens.verify(token), { id: user.id })
  t.match(await tokens.verify(await tokens.sign(await world.sessions.start(user))), { id: user.id })
  await keys.rotate({ immediately: true })
  t.match(await tokens.verify(await tokens.sign(await world.sessions.start(user))), { id: user.id })
  t.same(warnings, [{ kid: 'one' }, { kid: 'two' }])
  for (const kid of ['one', 'two']) t.match(await keys.revoke(kid), { state: 'revoked' })
})

t.test('a key that cannot be built is not stored', async t => {
  const { keys, maker } = await open(t, databaseIn(t))
  maker.toVerifyOnlyJwtKey = async () => await Promise.reject(new Error('no'))
  maker.toJwtKey = async () => await Promise.reject(new Error('no'))
  await t.rejects(
    keys.importVerifyOnlyKey(Buffer.from('a secret of an older system, long enough'), { algorithm: 'HS256' }),
    { code: 'invalid_key', message: /cannot sign or verify a token/ }
  )
  const pem = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ type: 'pkcs8', format: 'pem' })
  await t.rejects(keys.importSigningKey(Buffer.from(pem)), { code: 'invalid_key' })
  t.equal((await keys.list()).length, 1)
})

t.test('a sealed key that is moved to another row, or given another algorithm or another use, does not open', async t => {
  const file = databaseIn(t)
  const { keys } = await open(t, file, { algorithm: 'RS256' })
  await keys.importVerifyOnlyKey(Buffer.from('a secret of an older system, long enough'), {
    algorithm: 'HS256',
    kid: 'old',
    issuer: 'old'
  })
  // This key opens whatever happens to the others, which shows that the secret is right.
  await keys.importVerifyOnlyKey(Buffer.from('another secret of an older system, as long'), {
    algorithm: 'HS256',
    kid: 'witness'
  })
  const other = connectTo(t, file)
  const restore = other.prepare('select * from latchkey_keys').all() as Array<Record<string, unknown>>
  const changes = {
    'another algorithm': "update latchkey_keys set algorithm = 'PS256' where algorithm = 'RS256'",
    'another name': "update latchkey_keys set kid = 'another' where algorithm = 'RS256'",
    'the secret of an older system made to sign': "update latchkey_keys set activates_at = 1 where kid = 'old'",
    'another issuer': "update latchkey_keys set issuer = 'evil' where kid = 'old'",
    'no issuer': "update latchkey_keys set issuer = null where kid = 'old'",
    'another audience': "update latchkey_keys set audience = 'evil' where kid = 'old'",
    'more scopes': "update latchkey_keys set scope = 'users:write' where kid = 'old'",
    'our key as one that only verifies': "update latchkey_keys set activates_at = null where algorithm = 'RS256'"
  }
  for (const [name, change] of Object.entries(changes)) {
    other.exec(change)
    const changed = await open(t, file, { algorithm: 'RS256' })
    const unusable = (await changed.keys.list()).filter(({ state }) => state === 'unusable')
    t.match(unusable, [{ problem: 'secret', signs: false }], name)
    t.equal(changed.warnings.length, 1)
    other.exec('delete from latchkey_keys')
    for (const row of restore) other.prepare(`insert into latchkey_keys (${Object.keys(row).join()}) values (${Object.keys(row).map(() => '?').join()})`).run(...Object.values(row))
    await t.resolves(open(t, file, { algorithm: 'RS256' }))
  }
})

t.test('two processes with different algorithms learn of each other\'s keys without a restart', async t => {
  const file = databaseIn(t)
  const one = await open(t, file)
  const user = await one.world.addUser()
  const two = await open(t, file, { algorithm: 'EdDSA' })
  const token = await two.tokens.sign(await two.world.sessions.start(user))
  t.match(await one.tokens.verify(token), { id: user.id })
  t.same((await one.tokens.readJwks()).map(({ alg }) => alg).sort(), ['ES256', 'EdDSA'])
  const back = await one.tokens.sign(await one.world.sessions.start(user))
  t.match(await two.tokens.verify(back), { id: user.id })
})

t.test('a commit of another process that changes no key forgets no token and makes no key anew', async t => {
  const file = databaseIn(t)
  const one = await open(t, file)
  const two = await open(t, file)
  const user = await one.world.addUser()
  const token = await one.tokens.sign(await one.world.sessions.start(user))
  const first = await one.tokens.verify(token)
  await two.world.sessions.start(user)
  t.type(one.world.follower.refresh(), Promise)
  t.equal(await one.tokens.verify(token), first, 'the same frozen user')
  t.equal(one.maker.made.length, 1)
  await two.keys.rotate()
  t.not(await one.tokens.verify(token), first, 'verified again after the keys have changed')
  t.equal(one.maker.made.length, 2, 'only the new key was made')
})

t.test('a key that our secrets do not open is left out, once, with a word in the log; its tokens are refused', async t => {
  const file = databaseIn(t)
  const old = await open(t, file)
  const user = await old.world.addUser()
  const rotated = await open(t, file, { secrets: [OTHER, KEY_SECRET] })
  const before = await rotated.tokens.sign(await rotated.world.sessions.start(user))
  const { key } = await rotated.keys.rotate({ immediately: true })
  const token = await rotated.tokens.sign(await rotated.world.sessions.start(user))
  for (let time = 0; time < 3; time++) await t.rejects(async () => await old.tokens.verify(token), { code: 'invalid_token' })
  t.same(old.warnings, [{ kid: key.kid }])
  t.match(await old.tokens.verify(before), { id: user.id }, 'the others work')
  await t.rejects(old.world.sessions.start(user).then(old.tokens.sign), /The option secret \(LATCHKEY_SECRET\) of this process opens no ES256 key to sign with/)
  await rotated.keys.rotate({ immediately: true })
  t.equal(old.warnings.length, 1)
  await t.rejects(async () => await old.tokens.verify(token), { code: 'invalid_token' })
  t.equal(old.warnings.length, 2, 'one word for each key')
})

t.test('keys that cannot be read anew mean 503, never a yes, until they can', async t => {
  const file = databaseIn(t)
  const one = await open(t, file)
  const two = await open(t, file)
  const user = await one.world.addUser()
  const token = await one.tokens.sign(await one.world.sessions.start(user))
  await one.tokens.verify(token)
  const [{ kid } = { kid: '' }] = await two.keys.list()
  await two.keys.revoke(kid)
  const { read } = one.world.store
  let reads = 0
  // The rules are read first, and that works: the keys are another query.
  one.world.store.read = async work => ++reads % 2 === 0 ? await Promise.reject(new Error('the disk is gone')) : await read(work)
  for (let time = 0; time < 3; time++) await t.rejects(async () => await one.tokens.verify(token), { code: 'revocation_unknown', statusCode: 503 })
  await t.rejects(one.tokens.readJwks(), { code: 'revocation_unknown' })
  one.world.store.read = read
  await t.rejects(async () => await one.tokens.verify(token), { code: 'invalid_token' })
})

t.test('the own change too: where it cannot be read back, nothing is accepted until it can', async t => {
  const { world, keys, tokens } = await open(t, databaseIn(t))
  const token = await tokens.sign(await world.sessions.start(await world.addUser()))
  const [{ kid } = { kid: '' }] = await keys.list()
  const { read } = world.store
  world.store.read = async () => await Promise.reject(new Error('the disk is gone'))
  await t.rejects(keys.revoke(kid), { code: 'store_unavailable' }, 'not acknowledged')
  await t.rejects(async () => await tokens.verify(token), { code: 'revocation_unknown' })
  world.store.read = read
  await t.rejects(async () => await tokens.verify(token), { code: 'invalid_token' }, 'it was committed, and holds')
})

t.test('a lifetime that is configured longer while a key is about to retire keeps that key for as long', async t => {
  const file = databaseIn(t)
  const wall = createWall()
  const { keys } = await open(t, file, {}, wall)
  await keys.rotate()
  const retiring = (list: KeyView[]): KeyView | undefined => list.find(({ signs }) => signs)
  const before = retiring(await keys.list())
  const world = await createWorld(t, { file, wall, accessTokenTtl: 60 * MINUTE })
  const after = retiring(await (await openKeys(world, { accessTokenTtl: 60 * MINUTE })).keys.list())
  t.equal((after?.expiresAt ?? 0) - (before?.expiresAt ?? 0), 45 * MINUTE)
})
