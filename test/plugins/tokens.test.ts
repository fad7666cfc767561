import { createPublicKey, generateKeyPairSync, randomBytes } from 'node:crypto'
import t from 'tap'
import type { Test } from 'tap'
import type { FastifyInstance, LightMyRequestResponse } from 'fastify'
import { bearer, build, logIn } from '../helper.js'
import type { TestClock, TokenBody } from '../helper.js'
import {
  assertProblem, claimsOf, databaseFile, encode, headerOf, listen, mint, openSigningKey, query, SECRET
} from '../routes/support.js'
import type { Claims, StolenKey } from '../routes/support.js'

let app: FastifyInstance
let clock: TestClock
let stolen: StolenKey
let tokens: TokenBody
let claims: Claims
let header: Claims

t.before(async () => {
  const file = databaseFile(t)
  const built = await build(t, { database: file, secret: SECRET })
  app = built.app
  clock = built.clock
  stolen = openSigningKey(file)
  tokens = await logIn(app)
  claims = claimsOf(tokens.access_token)
  header = headerOf(tokens.access_token)
})

async function call (token: string): Promise<LightMyRequestResponse> {
  return await app.inject({ url: '/users/me', headers: bearer(token) })
}

function sign (changes: Claims, headerChanges: Claims = {}): string {
  return mint('ES256', stolen.key, { ...header, ...headerChanges }, { ...claims, ...changes })
}

/** The same 401 for all of them: which check failed is nobody's business. */
async function assertInvalid (t: Test, token: string, name: string): Promise<void> {
  const response = await call(token)
  assertProblem(t, response, 401, 'invalid_token', name)
  t.equal(
    response.headers['www-authenticate'],
    'Bearer error="invalid_token", error_description="The access token is invalid."', `${name} has the challenge`
  )
}

t.test('a token that we signed ourselves with the same key is good: the tests sign as the service does', async t => {
  t.equal((await call(tokens.access_token)).statusCode, 200)
  t.equal((await call(sign({}))).statusCode, 200)
})

t.test('text that is no token is 401', async t => {
  const table = ['', 'x', '.', '..', '...', 'a.b.c', 'null', 'undefined', '{}', `${encode(header)}.${encode(claims)}`, `${encode(header)}.${encode(claims)}.`, `.${encode(claims)}.x`, `${tokens.access_token}.`, `${tokens.access_token}.x`,
    tokens.refresh_token, `"${tokens.access_token}"`, encodeURIComponent(
      '\u0000'
    ), '\u00e4\u00f6\u00fc', '!!!.???.***', tokens.access_token.replaceAll(
      '.', ','
    ), tokens.access_token.slice(0, -10), tokens.access_token.slice(1),
    `${encode('null')}.${encode(claims)}.AAAA`, `${encode('[]')}.${encode(claims)}.AAAA`, `${encode('"x"')}.${encode(claims)}.AAAA`, `${encode('{')}.${encode(claims)}.AAAA`, `${encode('{"alg":')}.x.AAAA`]
  for (const token of table) await assertInvalid(t, token, JSON.stringify(token.slice(0, 30)))
})

t.test('a huge token is 401, and over a socket refused by the server before it is ours', async t => {
  for (const length of [8_193, 100_000, 1024 * 1024]) {
    await assertInvalid(t, 'a'.repeat(length), `${length}`)
    await assertInvalid(t, '.'.repeat(length), `${length} dots`)
    await assertInvalid(t, sign({ padding: 'x'.repeat(length) }), `${length}, with a good signature`)
  }
  const file = databaseFile(t)
  const { app: other } = await build(t, { database: file, secret: SECRET })
  const origin = await listen(other)
  const response = await fetch(
    `${origin}/users/me`, { headers: bearer('a'.repeat(1024 * 1024)) }
  ).catch(() => undefined)
  t.ok(response === undefined || response.status === 431)
  t.equal((await fetch(`${origin}/users/me`, { headers: bearer('a'.repeat(12_000)) })).status, 401)
})

t.test('RFC 8725 3.1, RFC 9068 4, ASVS 9.1.2: an algorithm that is not that of the key is refused, none among them', async t => {
  const publicPem = stolen.publicPem
  const jwk = JSON.stringify(createPublicKey(publicPem).export({ format: 'jwk' }))
  const rsa = generateKeyPairSync(
    'rsa',
    {
      modulusLength: 2048,
      privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
      publicKeyEncoding: { type: 'spki', format: 'pem' }
    }
  )
  const variants: Record<string, string> = {
    none: `${encode({ ...header, alg: 'none' })}.${encode(claims)}.`,
    'none with a signature':
      `${encode({ ...header, alg: 'none' })}.${encode(claims)}.${tokens.access_token.split('.')[2]}`,
    nOnE: `${encode({ ...header, alg: 'nOnE' })}.${encode(claims)}.`,
    'HS256 with the public key': mint('HS256', Buffer.from(publicPem), { ...header, alg: 'HS256' }, claims),
    'HS256 with the public key, trimmed': mint(
      'HS256', Buffer.from(publicPem.trim()), { ...header, alg: 'HS256' }, claims
    ),
    'HS256 with the JWK': mint('HS256', Buffer.from(jwk), { ...header, alg: 'HS256' }, claims),
    'HS256 with an empty key': mint('HS256', Buffer.alloc(0), { ...header, alg: 'HS256' }, claims),
    'HS256 with the name of the key': mint('HS256', Buffer.from(stolen.kid), { ...header, alg: 'HS256' }, claims),
    'HS256 that says ES256': mint('HS256', Buffer.from(publicPem), header, claims),
    'RS256 with a key of its own': mint('RS256', rsa.privateKey, { ...header, alg: 'RS256' }, claims),
    'RS256 that says ES256': mint('RS256', rsa.privateKey, header, claims)
  }
  for (const alg of [
    'ES384', 'ES512', 'es256', 'ES256K', 'EdDSA', 'PS256', 'HS512', '', null, 256, ['ES256'], { ES256: 1 }, undefined
  ]) variants[`our signature that says ${JSON.stringify(alg)}`] = mint('ES256', stolen.key, { ...header, alg }, claims)
  for (const [name, token] of Object.entries(variants)) await assertInvalid(t, token, name)
})

t.test('ASVS 9.1.1: a signature by somebody else, of zeros or of another text is refused', async t => {
  const other = generateKeyPairSync(
    'ec',
    {
      namedCurve: 'P-256',
      privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
      publicKeyEncoding: { type: 'spki', format: 'pem' }
    }
  )
  const [encodedHeader, payload, signature = ''] = tokens.access_token.split('.')
  const bytes = Buffer.from(signature, 'base64url')
  const withSignature = (value: Buffer): string => `${encodedHeader}.${payload}.${value.toString('base64url')}`
  const variants: Record<string, string> = {
    'a key of their own under our kid': mint('ES256', other.privateKey, header, claims),
    zeros: withSignature(Buffer.alloc(64)),
    'zeros and ones (psychic signatures, CVE-2022-21449)': withSignature(Buffer.concat([
      Buffer.alloc(63), Buffer.from([1]), Buffer.alloc(63), Buffer.from([1])
    ])),
    'all ones': withSignature(Buffer.alloc(64, 0xff)),
    'a byte short': withSignature(bytes.subarray(0, 63)),
    'a byte long': withSignature(Buffer.concat([bytes, Buffer.from([0])])),
    random: withSignature(randomBytes(64)),
    'other claims': `${encodedHeader}.${encode({ ...claims, scope: 'admin users:write' })}.${signature}`,
    'another header': `${encode({ typ: 'at+jwt', alg: 'ES256', kid: header.kid })}.${payload}.${signature}`
  }
  for (let bit = 0; bit < 512; bit += 73) {
    const copy = Buffer.from(bytes)
    copy[bit >> 3] = (copy[bit >> 3] ?? 0) ^ (1 << (bit & 7))
    variants[`bit ${bit} the other way`] = withSignature(copy)
  }
  for (const [name, token] of Object.entries(variants)) await assertInvalid(t, token, name)
})

t.test('only the canonical spelling of a signature is a token: all other trailing bits, padding and alphabets are refused', async t => {
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
  for (const token of [tokens.access_token, sign({})]) {
    const body = token.slice(0, -1)
    const last = alphabet.indexOf(token.at(-1) ?? '')
    let good = 0
    for (let low = 0; low < 16; low++) {
      const spelling = body + alphabet[(last & 0b110000) | low]
      if (spelling === token) good++
      else await assertInvalid(t, spelling, `trailing bits ${low}`)
    }
    t.equal(good, 1)
    for (const spelling of [
      `${token}=`, `${token}==`, `${token}A`, `${token} `, `${token}\t`, `${token}%`, token.replace(/.$/, '$&\n')
    ]) await assertInvalid(t, spelling, JSON.stringify(spelling.slice(-4)))
    const [first, second, signature = ''] = token.split('.')
    const standard = Buffer.from(signature, 'base64url').toString('base64')
    await assertInvalid(t, `${first}.${second}.${standard}`, 'padded base64')
    t.equal((await call(token)).statusCode, 200)
  }
})

t.test('RFC 7515 4.1.11, RFC 8725 3.10: a header with anything but alg, typ and kid is refused, whatever it wants (crit, jku, x5u, jwk)', async t => {
  const jwk = createPublicKey(stolen.publicPem).export({ format: 'jwk' })
  const extras: Record<string, unknown> = {
    crit: [
      'exp'
    ],
    'crit ': null,
    b64: false,
    jwk,
    jku:
      'https://evil.example/jwks.json',
    x5u: 'https://evil.example/cert.pem',
    x5c: [
      'AAAA'
    ],
    x5t: 'AAAA',
    cty: 'JWT',
    zip: 'DEF',
    nonce: 'x',
    iss: claims.iss,
    epk: {},
    '': 1,
    __proto__x: 1
  }
  for (const [name, value] of Object.entries(extras)) {
    await assertInvalid(
      t, sign({}, { [name]: value }), `${name} in the header`
    )
  }
  for (const crit of [null, [], ['b64'], 'b64', {}, [null], ['alg']]) {
    await assertInvalid(
      t, sign({}, { crit }), `crit ${JSON.stringify(crit)}`
    )
  }
  await assertInvalid(
    t, mint('ES256', stolen.key, JSON.stringify(header).replace('{', '{"__proto__":{"a":1},'), claims),
    '__proto__ in the header'
  )
  for (const left of ['alg', 'typ', 'kid']) {
    const { [left]: _left, ...rest } = header
    await assertInvalid(t, mint('ES256', stolen.key, rest, claims), `without ${left}`)
    await assertInvalid(
      t, mint('ES256', stolen.key, { ...rest, crit: [] }, claims), `something else instead of ${left}`
    )
  }
})

t.test('RFC 8725 3.11, RFC 8725 3.12, RFC 9068 4, ASVS 9.2.2: a type that is not at+jwt is refused: an ID token is no access token', async t => {
  for (const typ of [
    'JWT', 'jwt', 'at+JWT', 'AT+JWT', 'application/at+jwt', 'logout+jwt', 'dpop+jwt', '', null, 1, ['at+jwt']
  ]) await assertInvalid(t, sign({}, { typ }), JSON.stringify(typ))
})

t.test('RFC 8725 3.10: a kid that is not ours is refused, whatever is in it', async t => {
  for (const kid of [
    '', 'x', '../../dev/null', '__proto__', 'constructor', "' or 1=1 --", null, 1, [stolen.kid], { a: 1 },
    `${stolen.kid} `, stolen.kid.toUpperCase()
  ]) await assertInvalid(t, sign({}, { kid }), JSON.stringify(kid))
})

t.test('RFC 7515 4: a doubled member in the header cannot say one thing to one reader and another to the next', async t => {
  const text = JSON.stringify(header)
  const variants: Record<string, string> = {
    'alg twice, the last none': text.replace('}', ',"alg":"none"}'),
    'alg twice, the first none': text.replace('{', '{"alg":"none",'),
    'kid twice, the last foreign': text.replace('}', ',"kid":"x"}'),
    'typ twice, the first another': text.replace('{', '{"typ":"JWT",'),
    'alg twice, once in escapes': text.replace('{', '{"\\u0061lg":"none",')
  }
  for (const [name, variant] of Object.entries(variants)) {
    await assertInvalid(
      t, mint('ES256', stolen.key, variant, claims), name
    )
  }
})

t.test('RFC 7519 4.1.3, RFC 8725 3.8, RFC 8725 3.9, RFC 9068 4, ASVS 9.2.3, ASVS 10.3.1: a token of another issuer or for another audience is refused', async t => {
  for (const iss of [
    'https://evil.example', '', `${claims.iss}/`, String(claims.iss).toUpperCase(), null, 1, [claims.iss],
    { 0: claims.iss }
  ]) await assertInvalid(t, sign({ iss }), `iss ${JSON.stringify(iss)}`)
  for (const aud of [
    'https://evil.example', '', null, 1, [], {}, [''], ['https://evil.example'], [[claims.aud]], { 0: claims.aud },
    `${claims.aud} x`, true
  ]) await assertInvalid(t, sign({ aud }), `aud ${JSON.stringify(aud)}`)
  t.equal(
    (await call(sign({ aud: ['https://other.example', claims.aud] }))).statusCode, 200,
    'one of several audiences is enough (RFC 7519 section 4.1.3)'
  )
})

t.test('RFC 8725 3.8, RFC 9068 2.2: every claim is required', async t => {
  for (const name of ['iss', 'sub', 'aud', 'client_id', 'exp', 'iat', 'jti', 'sid', 'scope']) {
    const { [name]: _left, ...rest } = claims
    await assertInvalid(t, mint('ES256', stolen.key, header, rest), `without ${name}`)
  }
})

t.test('a claim of the wrong type is refused', async t => {
  const exp = Number(claims.exp)
  const table: Array<[name: string, values: unknown[]]> = [
    ['exp', [String(exp), '1e400', 'NaN', '', null, true, [exp], {}, exp + 0.5, -1.5]],
    ['iat', [String(claims.iat), 'NaN', null, true, [1], {}, 1.5]],
    ['nbf', [String(claims.iat), '', null, true, [1], {}, 'NaN']],
    ['sub', ['', null, 1, true, [claims.sub], {}]],
    ['client_id', ['', null, 1, ['x'], {}]],
    ['jti', ['', null, 1, [claims.jti], {}]],
    ['sid', ['', null, 1, [claims.sid], {}]],
    ['scope', [null, 1, ['admin'], { admin: true }, true]]
  ]
  for (const [name, values] of table) {
    for (const value of values) {
      await assertInvalid(
        t, sign({ [name]: value }), `${name} ${JSON.stringify(value)}`
      )
    }
  }
  for (const number of ['1e400', '-1e400', '9007199254740993', '1e308']) {
    for (const name of ['exp', 'iat', 'nbf']) {
      const text = JSON.stringify({ ...claims, [name]: 0 }).replace(`"${name}":0`, `"${name}":${number}`)
      if (name === 'nbf' && number === '-1e400') continue // Before all times: it says nothing.
      await assertInvalid(t, mint('ES256', stolen.key, header, text), `${name} ${number}`)
    }
  }
})

t.test('claims that are no object are refused', async t => {
  for (const text of [
    'null', '[]', '"x"', '1', 'true', '{', '', ' ', '[{}]', `[${JSON.stringify(claims)}]`, 'undefined', 'NaN'
  ]) await assertInvalid(t, mint('ES256', stolen.key, header, text), JSON.stringify(text.slice(0, 10)))
  const claimsText = JSON.stringify(claims)
  await assertInvalid(t, mint('ES256', stolen.key, header, `${claimsText}${claimsText}`), 'two of them')
})

t.test('__proto__ in the claims gives nobody a scope', async t => {
  const text = JSON.stringify({ ...claims, scope: '' }).replace(
    '{', '{"__proto__":{"scope":"admin","scopes":["admin"]},'
  )
  const response = await app.inject({ url: '/admin/', headers: bearer(mint('ES256', stolen.key, header, text)) })
  t.ok([401, 403].includes(response.statusCode))
  const { scope: _scope, ...without } = claims
  const inherited = mint(
    'ES256', stolen.key, header, JSON.stringify(without).replace('{', '{"__proto__":{"scope":"admin"},')
  )
  await assertInvalid(t, inherited, 'scope only on the prototype')
})

t.test('RFC 7519 4.1.5, ASVS 9.2.1: iat and nbf may be five seconds ahead (another clock), and no more', async t => {
  const now = Math.floor(clock() / 1000)
  t.equal((await call(sign({ iat: now + 5 }))).statusCode, 200)
  t.equal((await call(sign({ nbf: now + 5 }))).statusCode, 200)
  t.equal((await call(sign({ nbf: 0 }))).statusCode, 200)
  for (const seconds of [6, 3600, 1e9]) {
    await assertInvalid(t, sign({ iat: now + seconds }), `iat in ${seconds} s`)
    await assertInvalid(t, sign({ nbf: now + seconds }), `nbf in ${seconds} s`)
  }
})

t.test('what is signed for a session of its own still falls with the rules for user and session', async t => {
  const stranger = await logIn(app, 'bob')
  const { sub, sid } = claimsOf(stranger.access_token)
  const odd = sign({ sub, sid, jti: 'not-a-uuid' })
  t.equal((await call(odd)).statusCode, 200)
  await app.latchkey.sessions.end(String(sub), String(sid))
  assertProblem(t, await call(odd), 401, 'token_revoked')
})

t.test('RFC 7519 4.1.4, RFC 9068 4, ASVS 9.2.1: a token lives until one millisecond before exp, and is dead at exp, whether it was seen before or not', async t => {
  const { app, clock } = await build(t)
  const [seen, unseen, late] = [await logIn(app), await logIn(app), await logIn(app)]
  const get = (token: TokenBody) => app.inject({ url: '/users/me', headers: bearer(token.access_token) })
  t.equal((await get(seen)).statusCode, 200)
  clock.move(Number(claimsOf(seen.access_token).exp) * 1000 - 1 - clock())
  t.equal((await get(seen)).statusCode, 200)
  t.equal((await get(late)).statusCode, 200)
  clock.move(1)
  for (const tokens of [seen, unseen, late]) {
    const response = await get(tokens)
    assertProblem(t, response, 401, 'token_expired')
    t.equal(
      response.headers['www-authenticate'],
      'Bearer error="invalid_token", error_description="The access token expired."', 'the answer says expired'
    )
  }
  clock.move(-60_000)
  for (const tokens of [seen, unseen]) {
    t.equal((await get(tokens)).statusCode, 200, 'if the clock was wrong, it lives again')
  }
})

t.test('a token of another instance is refused, also with the same issuer and secret', async t => {
  const { app: other } = await build(t, { database: databaseFile(t), secret: SECRET })
  const foreign = await logIn(other)
  await assertInvalid(t, foreign.access_token, 'of another database')
  assertProblem(
    t, await app.inject({ method: 'POST', url: '/refresh', payload: { refresh_token: foreign.refresh_token } }), 401,
    'invalid_refresh_token'
  )
})

t.test('RFC 9700 2.3, ASVS 9.2.4: a token of the same database for another issuer or audience is refused', async t => {
  const file = databaseFile(t)
  const { app: one } = await build(t, { database: file, secret: SECRET, issuer: 'https://one.example' })
  // Otherwise the second node does not start.
  query(file, 'delete from latchkey_settings')
  const { app: two } = await build(
    t, { database: file, secret: SECRET, issuer: 'https://two.example', audience: ['https://one.example', 'api'] }
  )
  const { access_token: token } = await logIn(one)
  t.equal((await one.inject({ url: '/users/me', headers: bearer(token) })).statusCode, 200)
  t.equal((await two.inject({ url: '/users/me', headers: bearer(token) })).statusCode, 401)
  const { access_token: both } = await logIn(two)
  t.strictSame(claimsOf(both).aud, ['https://one.example', 'api'])
  t.equal((await two.inject({ url: '/users/me', headers: bearer(both) })).statusCode, 200)
  t.equal((await one.inject({ url: '/users/me', headers: bearer(both) })).statusCode, 401, 'the issuer is another')
})

t.test('RFC 8725 3.1, ASVS 9.1.2: a token for HS256 is refused by the key of ES256, and the other way round, in one database', async t => {
  const file = databaseFile(t)
  const { app: symmetric } = await build(t, { database: file, secret: SECRET, algorithm: 'HS256' })
  const { access_token: token } = await logIn(symmetric)
  const key = openSigningKey(file)
  await symmetric.close()
  const { app: both } = await build(t, { database: file, secret: SECRET })
  const get = async (token: string): Promise<number> => (await both.inject({
    url: '/protected-route', headers: bearer(token)
  })).statusCode
  t.equal(await get(token), 200)
  const { access_token: fresh } = await logIn(both)
  const asymmetric = openSigningKey(file)
  t.equal(asymmetric.algorithm, 'ES256')
  for (const [name, forged] of Object.entries({
    'HS256 under the kid of ES256': mint(
      'HS256', key.key, { ...headerOf(token), kid: asymmetric.kid }, claimsOf(token)
    ),
    'ES256 under the kid of HS256': mint(
      'ES256', asymmetric.key, { ...headerOf(fresh), kid: key.kid }, claimsOf(fresh)
    ),
    'HS256 with the public key under the kid of HS256': mint(
      'HS256', Buffer.from(asymmetric.publicPem), headerOf(token), claimsOf(token)
    )
  })) t.equal(await get(forged), 401, name)
})

t.test("the host's claims cannot make a token that is handed out dead", async t => {
  const { app } = await build(t, { claims: () => ({ huge: 'x'.repeat(10_000) }) })
  const response = await app.inject({
    method: 'POST', url: '/token', payload: { username: 'alice', password: 'marble otter sings at noon' }
  })
  if (response.statusCode === 200) {
    t.equal(
      (await app.inject({ url: '/protected-route', headers: bearer(response.json().access_token) })).statusCode, 200,
      'what a login hands out is good'
    )
  } else t.equal(response.statusCode, 500)
})
