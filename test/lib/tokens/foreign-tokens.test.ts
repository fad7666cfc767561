import { generateKeyPairSync } from 'node:crypto'
import t from 'tap'
import type { Test } from 'tap'
import type { VerifyOnlyRules } from '../../../lib/keys/administration.js'
import type { SigningKey } from '../../../lib/keys/material.js'
import { AUDIENCE, createWorld, DAY, MINUTE, openKeys, SECOND, signJws } from '../support.js'

const OLD_SECRET = '09d25e094faa6ca2556c818166b7a9563b93f7099f6f0f4caa6cf63b88e8d3e7'
const OLD: SigningKey = {
  kid: 'old', algorithm: 'HS256', private: Buffer.from(OLD_SECRET), public: Buffer.from(OLD_SECRET), jwk: null
}
const INVALID = { code: 'invalid_token', statusCode: 401 }

async function open (t: Test, rules?: VerifyOnlyRules, content: Buffer = Buffer.from(OLD_SECRET)) {
  const world = await createWorld(t)
  const opened = await openKeys(world)
  const key =
    rules === undefined ? undefined : await opened.keys.importVerifyOnlyKey(content, { algorithm: 'HS256', ...rules })
  const now = Math.floor(world.wall() / 1000)
  return {
    world,
    ...opened,
    key,
    now,
    sign: (claims: object, header: object = { alg: 'HS256', typ: 'JWT' }) => signJws(OLD, header, claims)
  }
}

t.test('other forms of the scopes, times and names', async t => {
  const { tokens, sign, now } = await open(t, {})
  const exp = now + 60
  const table: Array<[string, object, object]> = [
    ['scope', { sub: 'a', exp, scope: 'items:write items:read' }, { scopes: ['items:read', 'items:write'] }],
    ['scope as a list', { sub: 'a', exp, scope: ['items:read'] }, { scopes: ['items:read'] }],
    ['scopes as a text', { sub: 'a', exp, scopes: 'items:read' }, { scopes: ['items:read'] }],
    ['none', { sub: 'a', exp }, { scopes: [] }],
    [
      'scopes of our own routes are not granted', { sub: 'a', exp, scope: 'users:write audit:read admin' },
      { scopes: ['admin'] }
    ],
    ['names of Object.prototype', { sub: 'a', exp, scope: '__proto__ constructor toString' }, { scopes: [] }],
    ['fractions', { sub: 'a', exp: exp + 0.75, iat: now - 0.5 }, { claims: { exp, iat: now - 1 } }],
    ['their jti', { sub: 'a', exp, jti: 'theirs' }, { tokenId: /^[\w-]{43}$/ }],
    ['an access token that says so', { sub: 'a', exp, token_type: 'access', type: 'Bearer' }, { id: 'a' }],
    ['a jti that is no text', { sub: 'a', exp, jti: 7 }, { tokenId: /^[\w-]{43}$/ }],
    ['a sid of theirs is no session of ours', { sub: 'a', exp, sid: 'x' }, { sessionId: undefined }],
    [
      'a login of theirs is none of ours', { sub: 'a', exp, auth_time: now, amr: ['pwd'], gen: 1 },
      { claims: { auth_time: undefined, amr: undefined, gen: undefined } }
    ],
    ['a client of theirs is none of ours', { sub: 'a', exp, client_id: 'a' }, { clientId: 'latchkey' }],
    ['whatever else', { sub: 'a', exp, tenant: { id: 1 } }, { claims: { tenant: { id: 1 } } }],
    ['our audience', { sub: 'a', exp, aud: [AUDIENCE, 'x'] }, { id: 'a' }],
    ['their issuer', { sub: 'a', exp, iss: 'old' }, { claims: { iss: 'old' } }]
  ]
  for (const [name, claims, expected] of table) t.match(await tokens.verify(sign(claims)), expected, name)
  for (const header of [{ alg: 'HS256' }, { typ: 'JWT', alg: 'HS256' }, { alg: 'HS256', typ: 'at+jwt' }]) {
    t.match(await tokens.verify(sign({ sub: 'a', exp }, header)), { id: 'a' }, JSON.stringify(header))
  }
})

t.test('what such a token must not be', async t => {
  const { tokens, sign, now, key } = await open(t, {})
  const good = { sub: 'a', exp: now + 60 }
  const payloads: unknown[] = [
    {}, { sub: 'a' }, { exp: now + 60 }, { ...good, sub: '' }, { ...good, sub: 1 }, { ...good, sub: null }, {
      ...good, sub: { id: 1 }
    }, {
      ...good, sub: 'latchkey'
    }, {
      ...good, sub: 'lkc_0198c0ffee0070008000000000000001'
    },
    {
      ...good, exp: String(now + 60)
    }, { ...good, exp: null }, JSON.stringify(good).replace(
      /"exp":\d+/, '"exp":1e400'
    ), { ...good, exp: 1e15 }, { ...good, exp: -1 },
    { ...good, iat: now + 6 }, {
      ...good, iat: String(now)
    }, { ...good, nbf: now + 6 }, {
      ...good, nbf: String(now)
    }, { ...good, aud: 'another' }, { ...good, aud: [] }, { ...good, aud: 1 }, { ...good, aud: [1] },
    { ...good, token_type: 'refresh' }, {
      ...good, type: 'password-reset'
    }, { ...good, token_use: 'id' }, { ...good, typ: 'Refresh' }, { ...good, purpose: null }, {
      ...good, type: ['access', 'refresh']
    }, { ...good, nonce: 'n' }, { ...good, at_hash: 'x' },
    { ...good, iss: 1 }, { ...good, scope: 1 }, {
      ...good, scope: [1]
    }, { ...good, scopes: {} }, [good], 'null', '"a"', '1', '{'
  ]
  for (const payload of payloads) {
    await t.rejects(
      async () => await tokens.verify(sign(payload as object)), INVALID, JSON.stringify(payload)
    )
  }
  const header = { alg: 'HS256', typ: 'JWT' }
  const headers: object[] = [
    { ...header, alg: 'none' }, {
      ...header, alg: 'HS512'
    }, {
      ...header, alg: 'ES256'
    }, { typ: 'JWT' }, { ...header, typ: 'jwt+x' }, { ...header, typ: null }, { ...header, typ: 1 },
    {
      ...header, kid: 'another'
    }, { ...header, kid: null }, { ...header, kid: 1 }, { ...header, kid: '' }, {
      ...header, crit: ['exp']
    }, { ...header, crit: null }, { ...header, b64: false }, {
      ...header, jwk: { kty: 'oct', k: 'AA' }
    },
    { ...header, jku: 'https://evil.example' }, { ...header, x5u: 'https://evil.example' }, { ...header, cty: 'JWT' }
  ]
  for (const odd of headers) t.throws(() => tokens.verify(sign(good, odd)), INVALID, JSON.stringify(odd))
  t.match(await tokens.verify(sign(good, { ...header, kid: key?.kid })), { id: 'a' }, 'by the name of the key')
  const twice =
    `${Buffer.from('{"alg":"none","alg":"HS256"}').toString('base64url')}.${sign(good).split('.').slice(1).join('.')}`
  t.throws(() => tokens.verify(twice), INVALID, 'a member twice')
  t.throws(() => tokens.verify(sign(good).slice(0, -1)), INVALID)
  const last = sign(good).slice(0, -1)
  const spellings = [...'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'].filter(letter => {
    try {
      return tokens.verify(last + letter) !== undefined
    } catch {
      return false
    }
  })
  t.equal(spellings.length, 1, 'one spelling only')
})

t.test('issuer, audience and scopes are pinned where the import says so', async t => {
  const { tokens, sign, now, keys } = await open(
    t, { issuer: 'https://old.example', audience: 'old-api', scopes: ['items:read', 'users:read'] }
  )
  const good = {
    sub: 'a',
    exp: now + 60,
    iss: 'https://old.example',
    aud: ['x', 'old-api'],
    scope: 'items:read items:write users:read users:write'
  }
  t.match(await tokens.verify(sign(good)), { scopes: ['items:read', 'users:read'] })
  for (const change of [
    { iss: undefined }, { iss: 'https://old.example/' }, { aud: undefined }, { aud: AUDIENCE }, { aud: ['old-api2'] }
  ]) {
    t.throws(() => tokens.verify(sign({ ...good, ...change })), INVALID, JSON.stringify(change))
  }
  t.match(
    (await keys.list()).find(({ state }) => state === 'verify-only'),
    {
      state: 'verify-only',
      signs: false,
      issuer: 'https://old.example',
      audience: 'old-api',
      scopes: ['items:read', 'users:read']
    }
  )
  await t.rejects(keys.importVerifyOnlyKey(Buffer.from('x'.repeat(32)), { scopes: ['nothing'] }), RangeError)
})

t.test('RS256, PS256, ES256 and EdDSA keys, PEM or JWK, public or private; never published', async t => {
  const { tokens, keys, now, world } = await open(t)
  const pairs = {
    RS256: generateKeyPairSync('rsa', { modulusLength: 2048 }),
    PS256: generateKeyPairSync('rsa', { modulusLength: 2048 }),
    ES256: generateKeyPairSync('ec', { namedCurve: 'P-256' }),
    EdDSA: generateKeyPairSync('ed25519')
  } as const
  for (const [name, { privateKey, publicKey }] of Object.entries(pairs)) {
    const algorithm = name as keyof typeof pairs
    const content = name === 'RS256'
      ? publicKey.export({ type: 'spki', format: 'pem' }).toString()
      : name === 'PS256'
        ? publicKey.export({ type: 'pkcs1', format: 'pem' }).toString()
        : JSON.stringify({
          ...(name === 'ES256' ? privateKey : publicKey).export({ format: 'jwk' }),
          kid: `old-${name}`,
          use: 'sig',
          key_ops: [name === 'ES256' ? 'sign' : 'verify']
        })
    const key = await keys.importVerifyOnlyKey(Buffer.from(content), { algorithm })
    t.match(key, { algorithm, state: 'verify-only' })
    const signer: SigningKey = {
      kid: key.kid,
      algorithm,
      private: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
      public: '',
      jwk: null
    }
    t.match(
      await tokens.verify(signJws(signer, { alg: name, typ: 'JWT' }, { sub: name, exp: now + 60 })), { id: name },
      'without a kid'
    )
    t.match(
      await tokens.verify(signJws(signer, { alg: name, typ: 'JWT', kid: key.kid }, { sub: name, exp: now + 60 })),
      { id: name }, 'with its kid'
    )
    t.throws(() => tokens.verify(signJws(signer, { alg: 'HS256', typ: 'JWT' }, { sub: name, exp: now + 60 })), INVALID)
    await t.rejects(
      keys.importVerifyOnlyKey(Buffer.from(privateKey.export({ type: 'pkcs8', format: 'pem' })), { kid: 'again' }),
      { code: 'duplicate_key' }, 'the other half of a key that is there'
    )
  }
  t.equal((await tokens.readJwks()).length, 1)
  t.same(
    (await keys.list()).map(({ kid }) => kid).filter(kid => kid.startsWith('old-')), ['old-ES256', 'old-EdDSA'],
    'a JWK keeps its name'
  )
  t.equal(world.follower.refresh(), undefined)
})

t.test('RFC 8725 3.12: the two profiles exclude each other', async t => {
  const { tokens, keys, world, now, key, sign } = await open(t, {})
  const grant = await world.sessions.start(await world.addUser())
  const token = await tokens.sign(grant)
  const claims = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString())
  t.throws(() => tokens.verify(sign(claims, { alg: 'HS256', typ: 'at+jwt', kid: token.split('.')[0] })), INVALID)
  const ours = await openKeys(await createWorld(t), { algorithm: 'HS256' })
  const asOurs = signJws(
    { ...OLD, kid: key?.kid ?? '' }, { alg: 'HS256', typ: 'at+jwt', kid: key?.kid }, { ...claims, aud: undefined }
  )
  const user = await tokens.verify(asOurs)
  t.equal(user.sessionId, undefined, 'the older system cannot make a token that belongs to a session of ours')
  t.equal(user.claims.client_id, 'latchkey')
  const [own] = (await keys.list()).filter(({ signs }) => signs)
  t.throws(
    () => tokens.verify(sign({ sub: 'a', exp: now + 60 }, { alg: 'HS256', typ: 'JWT', kid: own?.kid })), INVALID,
    'under the name of our key'
  )
  t.throws(() => ours.tokens.verify(sign({ sub: 'a', exp: now + 60 })), INVALID, 'where no such key was imported')
})

t.test('a token is ended by its name, which no second signature changes; a user by a rule', async t => {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const { tokens, world, now } = await open(
    t,
    { algorithm: 'ES256' },
    Buffer.from(publicKey.export({ type: 'spki', format: 'pem' }))
  )
  const signer: SigningKey = {
    kid: 'x',
    algorithm: 'ES256',
    private: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    public: '',
    jwk: null
  }
  const make = (claims: object): string => signJws(
    signer, { alg: 'ES256', typ: 'JWT' }, { sub: 'a', exp: now + 3_600, ...claims }
  )
  const [token, twin, other] = [make({}), make({}), make({ n: 1 })]
  t.not(token, twin, 'ES256 signs with a fresh nonce')
  const claims = tokens.decode(token)
  if (claims === undefined) throw new Error('it is not read')
  await world.sessions.endToken(claims)
  for (const dead of [token, twin]) t.throws(() => tokens.verify(dead), { code: 'token_revoked' })
  t.match(await tokens.verify(other), { id: 'a' })

  const [undated, before, after] = [make({ n: 2 }), make({ iat: now - 1 }), make({ iat: now + 1 })]
  await world.revocations.revokeUser('a')
  for (const dead of [undated, before, other]) {
    t.throws(
      () => tokens.verify(dead), { code: 'token_revoked' }, 'not dated, it is older than every rule'
    )
  }
  t.match(await tokens.verify(after), { id: 'a' })
  await world.sessions.endAll('a')
  t.match(await tokens.verify(after), { id: 'a' }, 'dated after it')
  world.wall.move(2 * SECOND)
  await world.sessions.endAll('a')
  t.throws(() => tokens.verify(after), { code: 'token_revoked' })
})

t.test('after `until`, or revoked, the key vouches for nothing more, also for what was cached', async t => {
  const { tokens, world, sign, now, keys } = await open(t, { until: MINUTE })
  const token = sign({ sub: 'a', exp: now + 30 * 86_400 })
  t.match(await tokens.verify(token), { id: 'a' })
  world.wall.move(MINUTE - 1)
  t.match(await tokens.verify(token), { id: 'a' })
  world.wall.move(1)
  t.throws(() => tokens.verify(token), INVALID)
  t.same((await keys.list()).map(({ state }) => state).sort(), ['active', 'removed'])
  const second = await openKeys(world)
  const revoked = await second.keys.importVerifyOnlyKey(Buffer.from('another secret of the older system, as long'), {
    algorithm: 'HS256'
  })
  const other = signJws(
    { ...OLD, private: Buffer.from('another secret of the older system, as long') }, { alg: 'HS256', typ: 'JWT' },
    { sub: 'a', exp: now + 30 * 86_400 }
  )
  t.match(await second.tokens.verify(other), { id: 'a' })
  await second.keys.revoke(revoked.kid)
  t.throws(() => second.tokens.verify(other), INVALID)
  t.match((await second.keys.list()).find(({ kid }) => kid === revoked.kid), { expiresAt: revoked.expiresAt })
})

t.test('at most sixteen keys of older systems; revoking one makes room', async t => {
  const { keys } = await open(t)
  for (let index = 0; index < 16; index++) {
    await keys.importVerifyOnlyKey(Buffer.from(`secret number ${index} of many, all of them long`), {
      algorithm: 'HS256',
      kid: `old-${index}`
    })
  }
  const another = Buffer.from('one secret more than there may be')
  await t.rejects(keys.importVerifyOnlyKey(another, { algorithm: 'HS256' }), {
    code: 'too_many_keys',
    message: 'There are already 16 keys that only verify, and no more are allowed: revoke one'
  })
  await t.rejects(keys.importVerifyOnlyKey(another, { algorithm: 'HS256', kid: 'old-3' }), { code: 'duplicate_key' })
  await keys.revoke('old-3')
  await t.rejects(keys.importVerifyOnlyKey(another, { algorithm: 'HS256', kid: 'old-3' }), {
    code: 'duplicate_key',
    message: 'A key old-3 exists already, or existed until recently: give this one another kid'
  })
  t.match(await keys.importVerifyOnlyKey(another, { algorithm: 'HS256' }), {
    state: 'verify-only',
    expiresAt: createWallTime() + 90 * DAY
  })
})

function createWallTime (): number {
  return Date.UTC(2026, 10, 3, 12, 0, 0, 250)
}

t.test('who was logged out everywhere, or is disabled, stays out when a key of an older system is imported later', async t => {
  const { world, tokens, keys, sign, now } = await open(t)
  const [longAgo, lately] = [await world.addUser('bob'), await world.addUser('alice')]
  await world.users.disable(longAgo.id)
  world.wall.move(3 * DAY)
  while (await world.revocations.purge(world.wall()));
  t.equal(world.revocations.size, 0, 'what killed the tokens of the time is forgotten')
  await world.sessions.endAll(lately.id)
  world.wall.move(MINUTE)
  await keys.importVerifyOnlyKey(Buffer.from(OLD_SECRET), { algorithm: 'HS256' })
  const held = [longAgo, lately].map(({ id }) => sign({ sub: id, iat: now, exp: now + 60 * 86_400 }))
  for (const days of [0, 2, 30]) {
    world.wall.move(days * DAY)
    while (await world.revocations.purge(world.wall()));
    for (const token of held) t.throws(() => tokens.verify(token), { code: 'token_revoked' }, `${days} days later`)
  }
  t.match(
    await tokens.verify(sign({ sub: 'somebody else', iat: now, exp: now + 60 * 86_400 })), { id: 'somebody else' }
  )
})

t.test('another claim holds the subject, and it may be a number, if the import says so', async t => {
  const { tokens, sign, now } = await open(t, { subjectClaim: 'user_id', numericSubject: true })
  const exp = now + 60
  t.match(await tokens.verify(sign({ user_id: 42, exp })), { id: '42', claims: { sub: '42', user_id: 42 } })
  t.match(await tokens.verify(sign({ user_id: 'auth0|5f', sub: 'other', exp })), { id: 'auth0|5f' })
  for (const user_id of [1.5, -1, 2 ** 53, null, '', ['1'], true, 'latchkey', 'lkc_1', undefined]) {
    t.throws(() => tokens.verify(sign({ user_id, sub: 'a', exp })), INVALID, JSON.stringify(user_id))
  }
  const other = await open(t, { subjectClaim: 'toString' })
  t.throws(() => other.tokens.verify(other.sign({ sub: 'a', exp })), INVALID, 'an inherited member is no claim')
  for (const subjectClaim of ['', 'exp', 'a b', 'x'.repeat(129)]) {
    await t.rejects(other.keys.importVerifyOnlyKey(Buffer.from('y'.repeat(32)), { algorithm: 'HS256', subjectClaim }), {
      name: 'RangeError', message: /--subject-claim/
    })
  }
})

t.test('tokens without exp are accepted up to an age, if the import sets one', async t => {
  const { tokens, sign, now, world, keys } = await open(t, { maxAge: 30 * DAY })
  const days = (count: number): number => now - count * 86_400
  const token = sign({ sub: 'a', iat: days(29) })
  t.match(await tokens.verify(token), { id: 'a', claims: { exp: days(-1) } })
  t.match(await tokens.verify(sign({ sub: 'a', iat: days(400), exp: now + 60 })), { id: 'a' }, 'an exp counts alone')
  t.throws(() => tokens.verify(sign({ sub: 'a', iat: days(30) })), { code: 'token_expired' })
  for (const claims of [{}, { iat: null }, { iat: String(now) }, { iat: -1 }, { iat: now, exp: null }]) {
    t.throws(() => tokens.verify(sign({ sub: 'a', ...claims })), INVALID, JSON.stringify(claims))
  }
  await t.rejects(async () => await tokens.verify(sign({ sub: 'a', iat: now + 60 })), INVALID, 'issued in the future')
  world.wall.move(DAY)
  t.throws(() => tokens.verify(token), { code: 'token_expired' }, 'also for what was cached')
  for (const maxAge of [0, -1, 999, 1.5, Infinity, NaN]) {
    await t.rejects(keys.importVerifyOnlyKey(Buffer.from('y'.repeat(32)), { algorithm: 'HS256', maxAge }), RangeError)
  }
})

t.test('a short secret is taken only if the operator allows it, and an empty one never', async t => {
  const { keys, tokens, now } = await open(t)
  const short = Buffer.from('secret\n')
  await t.rejects(keys.importVerifyOnlyKey(short, { algorithm: 'HS256' }), { message: /--allow-short-secret/ })
  for (const nothing of ['', '\n']) {
    await t.rejects(
      keys.importVerifyOnlyKey(Buffer.from(nothing), { algorithm: 'HS256', allowShortSecret: true }),
      { code: 'invalid_key', message: /0 bytes/ }
    )
  }
  t.match(
    await keys.importVerifyOnlyKey(short, { algorithm: 'HS256', allowShortSecret: true }),
    { leniency: { allowShortSecret: true } }
  )
  const signer = { ...OLD, private: Buffer.from('secret') }
  t.match(await tokens.verify(signJws(signer, { alg: 'HS256', typ: 'JWT' }, { sub: 'a', exp: now + 60 })), { id: 'a' })
})

t.test('a second import changes the settings only with update', async t => {
  const { keys, tokens, sign, now, key, world } = await open(t, { issuer: 'old', until: 10 * DAY })
  const content = Buffer.from(OLD_SECRET)
  const token = sign({ sub: 7, exp: now + 60, iss: 'old' })
  t.throws(() => tokens.verify(token), INVALID)
  const rules = { algorithm: 'HS256', numericSubject: true } as const
  await t.rejects(keys.importVerifyOnlyKey(content, { algorithm: 'HS256', issuer: 'old' }), {
    code: 'duplicate_key', message: `This key already exists as ${key?.kid}: there is nothing to do`
  })
  await t.rejects(keys.importVerifyOnlyKey(content, rules), {
    code: 'duplicate_key',
    message: `This key already exists as ${key?.kid}, with other settings (issuer, leniency): ` +
      'to change them, import it again with --update'
  })
  await t.rejects(keys.importVerifyOnlyKey(content, { ...rules, kid: 'x', update: true }), { code: 'duplicate_key' })
  t.throws(() => tokens.verify(token), INVALID, 'nothing changed')
  t.match(await keys.importVerifyOnlyKey(content, { ...rules, update: true }), {
    kid: key?.kid, issuer: 'old', expiresAt: key?.expiresAt, leniency: { numericSubject: true }
  }, 'what is not given stays')
  t.match(await tokens.verify(token), { id: '7' })
  t.match(await (await openKeys(world)).tokens.verify(token), { id: '7' }, 'it opens in another process')
  await keys.importVerifyOnlyKey(content, { algorithm: 'HS256', update: true, until: DAY })
  t.throws(() => tokens.verify(sign({ sub: 7, exp: now + 60 })), INVALID, 'the issuer is still required')
  await keys.importVerifyOnlyKey(content, { algorithm: 'HS256', update: true, issuer: 'another' })
  t.throws(() => tokens.verify(token), INVALID, 'what was cached is forgotten')
  await keys.revoke(key?.kid ?? '')
  await t.rejects(keys.importVerifyOnlyKey(content, { ...rules, kid: key?.kid, update: true }), { code: 'duplicate_key' })
})

t.test('the log gives the reason for a refusal, once a minute, and nothing of the token', async t => {
  const { tokens, sign, now, key, world, refusals } = await open(t, {})
  const fail = (claims: object, header?: object): void => {
    t.throws(() => tokens.verify(sign(claims, header)), INVALID)
  }
  for (let time = 0; time < 3; time++) {
    fail({ sub: 42, exp: now + 60 })
    fail({ sub: 'a' })
    fail({ sub: 'a', exp: now + 60 }, { alg: 'HS256', typ: 'JWT', kid: 'a-private-name' })
  }
  t.same(refusals, [
    { kid: key?.kid, reason: 'its subject is a number: see --numeric-subject' },
    { kid: key?.kid, reason: 'it has no exp: see --max-age' },
    { kid: undefined, reason: 'no imported key with its alg and kid verifies its signature' }
  ])
  world.wall.move(MINUTE)
  fail({ sub: 42, exp: now + 120 })
  t.equal(refusals.length, 4)
  const without = await open(t)
  t.throws(() => without.tokens.verify(sign({ sub: 'a' })), INVALID)
  t.same(without.refusals, [], 'without such a key there is nothing to explain')
})
