import t from 'tap'
import type { Test } from 'tap'
import type { AccessTokenClaims, AuthenticatedUser } from '../../../lib/identity/access-token.js'
import type { SigningKey } from '../../../lib/keys/material.js'
import type { JwtKey } from '../../../lib/keys/keyring.js'
import type { Follower } from '../../../lib/store/change-follower.js'
import type { Grant } from '../../../lib/sessions/issued.js'
import { createId } from '../../../lib/identity/ids.js'
import { createTokens } from '../../../lib/tokens/tokens.js'
import type { Tokens } from '../../../lib/tokens/tokens.js'
import { ALGORITHMS } from '../../../schemas/algorithms.js'
import type { ClaimsHook } from '../../../schemas/host.js'
import {
  AUDIENCE, CATALOGUE, createFixedKeyring, createHmacKey, createJwtKey, createWall, createWorld, databaseIn, ISSUER,
  noSignal,
  MINUTE, openKeys, SECOND, signJws
} from '../support.js'
import type { Wall, World } from '../support.js'
import { revokeToken } from '../../revoke-token.js'

const INVALID = {
  code: 'invalid_token', statusCode: 401, oauth: 'invalid_token', message: 'The access token is invalid.'
}

interface Bench {
  world: World
  wall: Wall
  tokens: Tokens
  key: SigningKey
  jwtKey: ReturnType<typeof createJwtKey>
  grant: Grant
}

async function build (
  t: Test,
  { claims, ttl = 15 * MINUTE, audience = [AUDIENCE], file }: {
    claims?: ClaimsHook, ttl?: number, audience?: string[], file?: string
  } = {}
): Promise<Bench> {
  const world = await createWorld(t, { file, claims })
  const key = createHmacKey()
  const jwtKey = createJwtKey(key, { audience })
  const tokens = createTokens({
    keyring: createFixedKeyring([jwtKey]),
    signalOf: noSignal,
    catalogue: CATALOGUE,
    issuer: ISSUER,
    audience,
    accessTokenTtl: ttl,
    clock: world.clock,
    follower: world.follower,
    ledger: { readTime: world.store.poll },
    revocations: world.revocations
  })
  const user = await world.addUser()
  return { world, wall: world.wall, tokens, key, jwtKey, grant: await world.sessions.start(user) }
}

function payloadOf (token: string): AccessTokenClaims {
  return JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString())
}

t.test('a token: its header, its claims, and what it says when it comes back', async t => {
  const { world, tokens, grant, wall } = await build(t)
  const token = await tokens.sign(grant)
  const [header] = token.split('.')
  t.match(JSON.parse(Buffer.from(header ?? '', 'base64url').toString()), { alg: 'HS256', typ: 'at+jwt' })
  const iat = Math.floor(wall() / 1000)
  const claims = payloadOf(token)
  t.same(Object.keys(claims).sort(), [
    'amr', 'aud', 'auth_time', 'client_id', 'exp', 'gen', 'iat', 'iss', 'jti', 'scope', 'sid', 'sub'
  ])
  t.match(
    claims,
    {
      iss: ISSUER,
      sub: grant.user.id,
      aud: AUDIENCE,
      client_id: 'latchkey',
      exp: iat + 900,
      iat,
      sid: grant.sessionId,
      scope: 'admin items:read'
    }
  )
  t.match(claims.jti, /^[0-9a-f]{8}-[0-9a-f]{4}-7/)
  const user = await tokens.verify(token)
  t.match(
    user,
    {
      id: grant.user.id,
      scopes: ['admin', 'items:read'],
      sessionId: grant.sessionId,
      tokenId: claims.jti,
      clientId: 'latchkey',
      claims
    }
  )
  t.not(await tokens.sign(grant), token, 'no two are equal')
  t.equal(world.follower.refresh(), undefined)
})

t.test('several audiences, a lifetime with a fraction', async t => {
  const { tokens, grant } = await build(t, { audience: ['a', 'b'], ttl: 1_999 })
  const claims = payloadOf(await tokens.sign(grant))
  t.same(claims.aud, ['a', 'b'])
  t.equal(claims.exp - claims.iat, 1)
})

t.test('all five algorithms over one store, each with its own key: the one that is configured signs, all verify', async t => {
  const world = await createWorld(t)
  const grant = await world.sessions.start(await world.addUser())
  const made: string[] = []
  for (const algorithm of ALGORITHMS) {
    const { tokens, keys } = await openKeys(world, { algorithm })
    made.push(await tokens.sign(grant))
    for (const token of made) t.match(await tokens.verify(token), { id: grant.user.id }, algorithm)
    const jwks = await tokens.readJwks()
    t.same(
      jwks.map(({ alg }) => alg).sort(), ALGORITHMS.slice(0, made.length).filter(name => name !== 'HS256').sort(),
      'the symmetric one is not published'
    )
    t.notMatch(JSON.stringify(jwks), /"(d|p|q|dp|dq|qi|k)":/)
    const listed = await keys.list()
    t.same(listed.filter(key => key.signs).map(key => key.algorithm), [algorithm])
    t.notMatch(JSON.stringify(listed), 'PRIVATE')
  }
  const other = createTokens({
    keyring: createFixedKeyring([createJwtKey(createHmacKey())]),
    signalOf: noSignal,
    issuer: ISSUER,
    audience: [AUDIENCE],
    catalogue: CATALOGUE,
    accessTokenTtl: MINUTE,
    clock: world.clock,
    follower: world.follower,
    ledger: { readTime: world.store.poll },
    revocations: world.revocations
  })
  for (const token of made) t.throws(() => other.verify(token), INVALID, 'a key that is not there')
})

t.test('headers: exactly alg, typ and kid, each the right one; nothing in them steers anything', async t => {
  const { tokens, grant, key, jwtKey } = await build(t)
  const payload = payloadOf(await tokens.sign(grant))
  const good = { alg: 'HS256', typ: 'at+jwt', kid: key.kid }
  t.doesNotThrow(() => tokens.verify(signJws(key, good, payload)))
  const table: Array<[name: string, header: unknown]> = [
    ['alg none', { ...good, alg: 'none' }], [
      'alg of another kind', { ...good, alg: 'HS512' }
    ], ['ES256 with this key', { ...good, alg: 'ES256' }],
    [
      'alg in lower case', { ...good, alg: 'hs256' }
    ], ['alg a list', { ...good, alg: ['HS256'] }], ['no alg', { typ: 'at+jwt', kid: key.kid }],
    ['typ JWT', { ...good, typ: 'JWT' }], [
      'typ application/at+jwt', { ...good, typ: 'application/at+jwt' }
    ], ['typ in capitals', { ...good, typ: 'AT+JWT' }], ['no typ', { alg: 'HS256', kid: key.kid }],
    [
      'no kid', { alg: 'HS256', typ: 'at+jwt' }
    ], [
      'another kid', { ...good, kid: 'other' }
    ], ['kid a number', { ...good, kid: 1 }], ['kid null', { ...good, kid: null }], [
      'kid of Object.prototype', { ...good, kid: 'constructor' }
    ],
    ['kid a path', { ...good, kid: '../../etc/passwd' }], ['kid a list', { ...good, kid: [key.kid] }],
    ['crit', { ...good, crit: ['exp'] }], [
      'crit null', { ...good, crit: null }
    ], ['crit empty', { ...good, crit: [] }], ['b64', { ...good, b64: false }], [
      'jku', { ...good, jku: 'https://evil.example' }
    ],
    [
      'jwk', { ...good, jwk: { kty: 'oct', k: 'AAAA' } }
    ], [
      'x5u', { ...good, x5u: 'https://evil.example' }
    ], ['cty', { ...good, cty: 'JWT' }], ['zip', { ...good, zip: 'DEF' }],
    ['null', null], [
      'a list', ['HS256', 'at+jwt', key.kid]
    ], ['a string', '"HS256"'], ['no JSON', 'HS256'], ['nothing', ''], ['a number', 3], ['a string of three', '"abc"']
  ]
  const before = jwtKey.verifications
  for (const [name, header] of table) t.throws(() => tokens.verify(signJws(key, header, payload)), INVALID, name)
  t.equal(jwtKey.verifications, before, 'none of them was worth a look at its signature')
})

t.test('texts that are no token of ours', async t => {
  const { tokens, grant } = await build(t)
  const token = await tokens.sign(grant)
  const [header, payload, signature] = token.split('.') as [string, string, string]
  const last = signature.slice(-1)
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
  const spellings = [...alphabet].filter(character => character !== last).map(
    character => `${header}.${payload}.${signature.slice(0, -1)}${character}`
  )
  const texts = ['', '.', '..', '...', 'abc', 'a.b.c', `${header}.${payload}`, `${header}.${payload}.`, `.${payload}.${signature}`, `${header}..${signature}`, `${token}.`, `${token}.x`, `${token} `, ` ${token}`, `${token}\n`, `${token}=`, `${token}A`,
    `${header}.${payload}.${signature.slice(0, -1)}`, `${header}.${payload}.${signature}AAAA`, `${header}.${payload} .${signature}`, `${header}=.${payload}.${signature}`, `${header}.${payload}=.${signature}`,
    `${header}.${payload}.${signature.replace(/.$/, '+')}`, `${header}.${payload}.!${signature}`, 'x'.repeat(
      8_193
    ), `${header}.${'A'.repeat(100_000)}.${signature}`, '\0', '\ud800', ...spellings]
  for (const text of texts) t.throws(() => tokens.verify(text), INVALID, JSON.stringify(text.slice(-30)))
  for (const text of texts) t.equal(tokens.decode(text), undefined)
  for (const value of [undefined, null, 5, {}, [token]]) {
    t.throws(() => tokens.verify(value as string), { code: 'invalid_token' }, String(value))
  }
})

t.test('claims of the wrong type, each signed with our own key', async t => {
  const { tokens, grant, key, wall } = await build(t)
  const good = payloadOf(await tokens.sign(grant))
  const header = { alg: 'HS256', typ: 'at+jwt', kid: key.kid }
  const now = Math.floor(wall() / 1000)
  const wrong: Array<[name: string, payload: unknown]> = [
    ['null', null], ['a list', [good]], ['a string', '"text"'], ['a number', 3], ['no JSON', '{'],
    ['exp a string', { ...good, exp: String(good.exp) }], [
      'exp with a fraction', { ...good, exp: good.exp + 0.5 }
    ], ['exp null', { ...good, exp: null }], [
      'exp 1e400', JSON.stringify(good).replace(/"exp":\d+/, '"exp":1e400')
    ],
    [
      'exp beyond safe integers', { ...good, exp: 1e300 }
    ], ['iat a string', { ...good, iat: String(good.iat) }], ['iat an object', { ...good, iat: {} }],
    ['sub empty', { ...good, sub: '' }], ['sub a number', { ...good, sub: 1 }], [
      'sub an object', { ...good, sub: { id: 1 } }
    ], ['jti empty', { ...good, jti: '' }], ['jti a number', { ...good, jti: 5 }],
    ['sid null', { ...good, sid: null }], [
      'client_id a list', { ...good, client_id: ['app'] }
    ], ['scope a list', { ...good, scope: ['admin'] }], ['scope null', { ...good, scope: null }],
    [
      'nbf a string', { ...good, nbf: String(now) }
    ], ['nbf null', { ...good, nbf: null }], ['nbf an object', { ...good, nbf: {} }]
  ]
  for (const [name, payload] of wrong) t.throws(() => tokens.verify(signJws(key, header, payload)), INVALID, name)
  for (const name of ['iss', 'sub', 'aud', 'client_id', 'exp', 'iat', 'jti', 'sid', 'scope']) {
    const { [name]: _, ...payload } = good
    t.throws(() => tokens.verify(signJws(key, header, payload)), INVALID, `no ${name}`)
  }
  for (const payload of [
    { ...good, iat: now + 5 }, { ...good, nbf: now + 5 }, { ...good, nbf: now }, { ...good, nbf: now - 0.5 },
    { ...good, scope: '' }
  ]) {
    t.doesNotThrow(() => tokens.verify(signJws(key, header, payload)), 'within the tolerance')
  }
})

t.test('for a token from the future, we ask the store for its time, which decides', async t => {
  const { world, tokens, grant, key, jwtKey, wall } = await build(t)
  const good = payloadOf(await tokens.sign(grant))
  const header = { alg: 'HS256', typ: 'at+jwt', kid: key.kid }
  const now = Math.floor(wall() / 1000)
  const early = signJws(key, header, { ...good, iat: now + 6, jti: createId((now + 6) * 1000) })
  const notYet = signJws(key, header, { ...good, nbf: now + 6 })
  const never = signJws(key, header, { ...good, iat: now + 3600 })
  let asked = 0
  let answer: () => Promise<void> = world.store.poll
  const { follower, revocations } = world
  const ledger = { readTime: () => { asked++; return answer() } }
  const node = createTokens({
    keyring: createFixedKeyring([jwtKey]),
    signalOf: noSignal,
    catalogue: CATALOGUE,
    issuer: ISSUER,
    audience: [AUDIENCE],
    accessTokenTtl: MINUTE,
    clock: world.clock,
    follower,
    ledger,
    revocations
  })

  for (const token of [early, notYet, never]) {
    asked = 0
    await t.rejects(async () => await node.verify(token), INVALID)
    t.ok(asked > 0 && asked <= 2, 'asked before it is refused, and not again and again')
  }
  asked = 0
  t.throws(() => node.verify(early.slice(0, -6) + 'AAAAAA'), INVALID)
  t.equal(asked, 0, 'not for a token that anybody can make')

  const cause = new Error('the store is gone')
  answer = () => Promise.reject(cause)
  await t.rejects(
    async () => await node.verify(early), { code: 'revocation_unknown', cause }, 'not known, and not refused for good'
  )

  // The clock of the store was ahead of what we knew.
  answer = async () => { wall.move(6_000) }
  t.match(await node.verify(early), { id: grant.user.id })
  t.match(await node.verify(notYet), { id: grant.user.id })
  await t.rejects(async () => await node.verify(never), INVALID)

  const later = signJws(key, header, { ...good, nbf: now + 60 })
  answer = async () => {
    wall.move(54_000)
    await world.revocations.revokeUser(grant.user.id)
  }
  await t.rejects(async () => await node.verify(later), { code: 'token_revoked' }, 'what is revoked while we ask')
})

t.test('a token that was verified is refused while the clock is set back to before it', async t => {
  const { tokens, grant, wall } = await build(t)
  const token = await tokens.sign(grant)
  const { iat } = payloadOf(token)
  await tokens.verify(token)
  wall.move((iat - 5) * 1000 - wall())
  t.match(await tokens.verify(token), { id: grant.user.id }, 'within the tolerance')
  wall.move(-1)
  await t.rejects(async () => await tokens.verify(token), INVALID)
  wall.move(1)
  t.match(await tokens.verify(token), { id: grant.user.id }, 'until the clock is right')
})

t.test('a token dies exactly at exp, whether it is cached or not', async t => {
  const { tokens, grant, wall, jwtKey } = await build(t)
  const token = await tokens.sign(grant)
  const fresh = await tokens.sign(grant)
  const { exp } = payloadOf(token)
  await tokens.verify(token)
  wall.move(exp * 1000 - 1 - wall())
  t.match(await tokens.verify(token), { id: grant.user.id }, 'a millisecond before')
  wall.move(1)
  const before = jwtKey.verifications
  t.throws(
    () => tokens.verify(token), { code: 'token_expired', statusCode: 401, message: 'The access token expired.' },
    'from the cache'
  )
  t.equal(jwtKey.verifications, before, 'and that is known without its signature')
  t.throws(() => tokens.verify(fresh), { code: 'token_expired' }, 'never seen before')
  t.match(tokens.decode(token), { sub: grant.user.id }, 'but it can still be read: to log out')
  wall.move(-MINUTE)
  t.match(await tokens.verify(token), { id: grant.user.id }, 'if the clock was wrong, the token is good again')
})

t.test('a token that was seen costs no signature; a thousand others do not forget it while it is used', async t => {
  const { tokens, grant, jwtKey } = await build(t)
  const token = await tokens.sign(grant)
  const first = tokens.verify(token)
  const before = jwtKey.verifications
  for (let i = 0; i < 100; i++) t.equal(tokens.verify(token), first, 'the same frozen user')
  t.equal(jwtKey.verifications, before)
})

t.test('the cache is bounded, and forgets', async t => {
  const { world, grant } = await build(t)
  // Twenty thousand signatures would cost seconds and show nothing.
  let verifications = 0
  const encode = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url')
  const jwtKey: JwtKey = {
    kid: 'kid',
    algorithm: 'HS256',
    jwk: null,
    sign: (claims: object) => `${encode({ alg: 'HS256', typ: 'at+jwt', kid: 'kid' })}.${encode(claims)}.AAAA`,
    signStatusList: () => '',
    verify (token) {
      verifications++
      return payloadOf(token)
    }
  }
  const tokens = createTokens({
    keyring: createFixedKeyring([jwtKey]),
    signalOf: noSignal,
    catalogue: CATALOGUE,
    issuer: ISSUER,
    audience: [AUDIENCE],
    accessTokenTtl: MINUTE,
    clock: world.clock,
    follower: world.follower,
    ledger: { readTime: world.store.poll },
    revocations: world.revocations
  })
  const first = await tokens.sign(grant)
  tokens.verify(first)
  for (let i = 0; i < 20_000; i++) tokens.verify(await tokens.sign(grant))
  t.equal(verifications, 20_001)
  tokens.verify(first)
  t.equal(verifications, 20_002, 'the first one was forgotten, and verified again')
  tokens.verify(first)
  t.equal(verifications, 20_002, 'and remembered again')
})

t.test('what is wrong is not remembered', async t => {
  const { tokens, grant, key, jwtKey } = await build(t)
  const payload = payloadOf(await tokens.sign(grant))
  const token = signJws(key, { alg: 'HS256', typ: 'at+jwt', kid: key.kid }, { ...payload, iss: 'https://evil.example' })
  for (let i = 1; i <= 3; i++) {
    t.throws(() => tokens.verify(token), INVALID)
    t.equal(jwtKey.verifications, i)
  }
})

t.test('the user of a token is shared by requests, and frozen all the way down', async t => {
  const { tokens, grant } = await build(
    t, { claims: () => ({ tenant: { id: 1, tags: ['a', { b: [1] }] }, groups: ['x'] }) }
  )
  const token = await tokens.sign(grant)
  const user = await tokens.verify(token)
  const visit = (value: unknown, path: string): void => {
    if (typeof value !== 'object' || value === null) return
    t.ok(Object.isFrozen(value), path)
    for (const [name, member] of Object.entries(value)) visit(member, `${path}.${name}`)
  }
  visit(user, 'user')
  t.throws(() => { (user.scopes as string[]).push('root') }, TypeError)
  t.throws(() => { (user as { id: string }).id = 'root' }, TypeError)
  t.match(user.claims, { tenant: { id: 1, tags: ['a', { b: [1] }] }, groups: ['x'] })
})

t.test('the host\'s claims are added, never over ours', async t => {
  const evil = {
    iss: 'evil',
    sub: 'root',
    aud: 'evil',
    client_id: 'evil',
    exp: 1,
    iat: 1,
    nbf: 9e9,
    jti: 'evil',
    sid: 'evil',
    scope: 'root'
  }
  const { tokens, grant } = await build(
    t, { claims: (user, scopes) => ({ ...evil, tenant: user.username, had: scopes }) }
  )
  const claims = payloadOf(await tokens.sign(grant))
  t.match(
    claims,
    {
      iss: ISSUER,
      sub: grant.user.id,
      aud: AUDIENCE,
      client_id: 'latchkey',
      sid: grant.sessionId,
      scope: 'admin items:read',
      tenant: 'alice',
      had: ['admin', 'items:read']
    }
  )
  t.notOk('nbf' in claims)
  const polluting = await build(
    t, { claims: async () => JSON.parse('{"__proto__":{"sub":"root","admin":true},"ok":1}') }
  )
  const user = await polluting.tokens.verify(await polluting.tokens.sign(polluting.grant))
  t.equal(user.id, polluting.grant.user.id)
  t.equal((user.claims as { admin?: boolean }).admin, undefined)
  t.equal(({} as { admin?: boolean }).admin, undefined)
  await t.rejects(
    build(t, { claims: async () => { throw new Error('the host fails') } }),
    { code: 'internal_error', cause: { message: 'the host fails' } }
  )
  await t.rejects(
    build(t, { claims: () => ({ note: 'x'.repeat(2_040) }) }),
    { code: 'internal_error', cause: { message: /^The option claims returned 2051 characters/ } }
  )
})

t.test('what is signed verifies: a token too long to be verified is not handed out', async t => {
  const { tokens, grant } = await build(t)
  await t.rejects(
    tokens.sign({ ...grant, scopes: Array.from({ length: 1_000 }, (_, index) => `scope:${index}`) }),
    /more than 8192: grant fewer scopes/
  )
})

t.test('revoked: at once, cached or not, by token, session and user', async t => {
  for (const how of ['token', 'session', 'user'] as const) {
    const { world, tokens, grant } = await build(t)
    const [token, other] = [await tokens.sign(grant), await tokens.sign(grant)]
    const { tokenId } = await tokens.verify(token)
    if (how === 'token') await revokeToken(world.revocations, tokenId, world.clock.now() + MINUTE)
    if (how === 'session') await world.sessions.end(grant.user.id, grant.sessionId)
    if (how === 'user') await world.revocations.revokeUser(grant.user.id)
    t.throws(
      () => tokens.verify(token), { code: 'token_revoked', statusCode: 401, message: 'The access token was revoked.' },
      how
    )
    if (how === 'token') t.doesNotThrow(() => tokens.verify(other), 'only that one')
    else t.throws(() => tokens.verify(other), { code: 'token_revoked' }, `${how}: never seen before`)
    if (how === 'user') {
      const next = await tokens.sign(await world.sessions.refresh(grant.refreshToken))
      t.doesNotThrow(() => tokens.verify(next), 'a token made after, in the same millisecond')
    }
  }
})

t.test('the millisecond in the jti of our own token counts, unless it is before iat', async t => {
  const { world, tokens, grant, key } = await build(t)
  const good = payloadOf(await tokens.sign(grant))
  const header = { alg: 'HS256', typ: 'at+jwt', kid: key.kid }
  await world.revocations.revokeUser(grant.user.id)
  for (const jti of ['no uuid', createId(0), createId(good.iat * 1000 - 1), createId(world.wall())]) {
    t.throws(() => tokens.verify(signJws(key, header, { ...good, jti })), { code: 'token_revoked' }, jti)
  }
  const later = createId(world.wall() + MINUTE)
  t.match(await tokens.verify(signJws(key, header, { ...good, jti: later })), { tokenId: later })
})

t.test('a revocation by another process is in force on the very next call: a promise, once', async t => {
  const file = databaseIn(t)
  const { world, tokens, grant } = await build(t, { file })
  const [token, dead] = [await tokens.sign(grant), await tokens.sign(grant)]
  t.type(tokens.verify(token), Object)
  await tokens.verify(dead)
  const other = await createWorld(t, { file, wall: world.wall })
  await revokeToken(other.revocations, payloadOf(dead).jti, world.wall() + MINUTE)
  const verifying = tokens.verify(dead)
  t.type(verifying, Promise)
  await t.rejects(verifying as Promise<AuthenticatedUser>, { code: 'token_revoked' })
  t.throws(() => tokens.verify(dead), { code: 'token_revoked' }, 'now without a promise')
  t.doesNotThrow(() => tokens.verify(token))
  await revokeToken(other.revocations, 'something else', world.wall())
  t.match(await tokens.verify(token), { id: grant.user.id }, 'a promise of the user')
  await revokeToken(other.revocations, 'something else again', world.wall())
  await t.rejects(tokens.verify('no token') as Promise<AuthenticatedUser>, INVALID, 'a promise of the refusal')
})

t.test('where the revocations cannot be told the answer is 503, never yes, and it leaks nothing', async t => {
  const { tokens: working, grant, key } = await build(t)
  const token = await working.sign(grant)
  const cause = new Error('SQLITE_IOERR at /var/lib/secret')
  const clock = { now: createWall() }
  const table: Array<[name: string, refresh: Follower['refresh']]> = [
    ['throws', () => { throw cause }],
    ['rejects', () => Promise.reject(cause)],
    ['rejects later', async () => { await new Promise(resolve => setImmediate(resolve)); throw cause }]
  ]
  for (const [name, refresh] of table) {
    const ledger = { readTime: async () => {} }
    const revocations = { isRevoked: () => false, isStolen: () => false, additions: () => 0 }
    const tokens = createTokens({
      keyring: createFixedKeyring([createJwtKey(key)]),
      signalOf: noSignal,
      catalogue: CATALOGUE,
      issuer: ISSUER,
      audience: [AUDIENCE],
      accessTokenTtl: MINUTE,
      clock,
      follower: { refresh },
      ledger,
      revocations
    })
    const expected = {
      code: 'revocation_unknown',
      statusCode: 503,
      retryAfter: 1,
      cause,
      message: "The token's revocation status is currently unknown: try again in a moment."
    }
    await t.rejects(async () => await tokens.verify(token), expected, name)
    await t.rejects(async () => await tokens.verify(token), expected, `${name}, again`)
  }
})

t.test('a store that is closed under us', async t => {
  const { world, tokens, grant } = await build(t, { file: databaseIn(t) })
  const token = await tokens.sign(grant)
  await tokens.verify(token)
  await world.store.close()
  t.throws(() => tokens.verify(token), { code: 'revocation_unknown', statusCode: 503 })
})

t.test('a token issued after another process\'s user rule works here, also where that process\'s clock is further on', async t => {
  const file = databaseIn(t)
  const { world, tokens, grant } = await build(t, { file })
  // The other process lived through a clock that stepped back: it stands still a minute ahead of us.
  const wall = createWall()
  wall.move(MINUTE)
  const other = await createWorld(t, { file, wall })
  await other.revocations.revokeUser(grant.user.id)
  await world.follower.refresh()
  const token = await tokens.sign(await world.sessions.refresh(grant.refreshToken))
  t.match(await Promise.resolve().then(() => tokens.verify(token)).catch(error => error), { id: grant.user.id })
  world.wall.move(30 * SECOND)
  t.match(
    await Promise.resolve().then(() => tokens.verify(token)).catch(error => error), { id: grant.user.id }, 'and later'
  )
})
