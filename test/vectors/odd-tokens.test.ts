import { createPublicKey, generateKeyPairSync, sign } from 'node:crypto'
import { createServer } from 'node:http'
import t from 'tap'
import type { FastifyInstance } from 'fastify'
import { bearer, build, logIn } from '../helper.js'
import type { TestClock } from '../helper.js'
import { claimsOf, databaseFile, encode, headerOf, mint, openSigningKey, SECRET } from '../routes/support.js'
import type { Claims, StolenKey } from '../routes/support.js'
import { MISSING, readVectors, textOf } from './support.js'
import type { WycheproofFile } from './support.js'

// Odd tokens through HTTP that test/plugins/tokens.test.ts does not have: that has the spellings of the signature, the
// members of the header, doubled members in the header, and huge tokens.

let app: FastifyInstance
let clock: TestClock
let stolen: StolenKey
let token: string
let claims: Claims
let header: Claims

t.before(async () => {
  const file = databaseFile(t)
  const built = await build(t, { database: file, secret: SECRET })
  app = built.app
  clock = built.clock
  stolen = openSigningKey(file)
  token = (await logIn(app)).access_token
  claims = claimsOf(token)
  header = headerOf(token)
})

interface Answer { status: number, code?: string, id?: string }

async function call (token: string): Promise<Answer> {
  const response = await app.inject({ url: '/protected-route', headers: bearer(token) })
  const { code, id } = response.json()
  return { status: response.statusCode, ...(code !== undefined && { code }), ...(id !== undefined && { id }) }
}

const INVALID = { status: 401, code: 'invalid_token' }

/** The answers to many tokens, without those that are a plain `invalid_token`. */
async function findOthers (tokens: Record<string, string>): Promise<Record<string, Answer>> {
  const others: Record<string, Answer> = {}
  for (const [name, token] of Object.entries(tokens)) {
    const answer = await call(token)
    if (answer.status !== INVALID.status || answer.code !== INVALID.code) others[name] = answer
  }
  return others
}

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'

/**
 * Every other text that a lenient decoder reads as the same bytes: unused bits, padding, the other alphabet, characters
 * to skip.
 */
function respell (text: string): string[] {
  const spellings = [
    ...new Set([
      text.replaceAll('-', '+'), text.replaceAll('_', '/'), Buffer.from(text, 'base64url').toString('base64')
    ])
  ]
  const unused = text.length * 6 % 8
  const last = ALPHABET.indexOf(text.at(-1) ?? '')
  for (let bits = 1; bits < 1 << unused; bits++) spellings.push(text.slice(0, -1) + ALPHABET[last ^ bits])
  for (const odd of ['=', '==', '===', ' ', '\t', '!', '?', '*', '%', '~', ',', '+', '/', '"', '\\', 'A', '%3D']) {
    spellings.push(text + odd, odd + text, text.slice(0, 8) + odd + text.slice(8))
  }
  return spellings.filter(spelling => spelling !== text)
}

t.test('only one spelling of each part of a token is good: unused bits, padding, the other alphabet and characters to skip are 401', async t => {
  const tokens: Record<string, string> = {}
  // Claims of every length modulo three, so with every number of unused bits, and with characters of which the
  // alphabets differ.
  for (const odd of ['', 'a', 'ab', 'abc']) {
    const good = mint('ES256', stolen.key, header, { odd: `>>>???~~~ÿþý${odd}`, ...claims })
    tokens[`good ${odd}`] = good
    const parts = good.split('.')
    for (const [index, part] of parts.entries()) {
      // Spaces before the first part are before the token, and belong to the header field (RFC 9110 section 11.4).
      for (const spelling of respell(part)) {
        if (index > 0 || !/^\s/.test(
          spelling
        )) {
          tokens[`${odd} part ${index}: ${spelling.slice(0, 12)}...${spelling.slice(-6)} ${spelling.length}`] = parts.with(
            index, spelling
          ).join('.')
        }
      }
    }
  }
  const good = { status: 200, id: claims.sub }
  t.strictSame(
    await findOthers(tokens), { 'good ': good, 'good a': good, 'good ab': good, 'good abc': good },
    `${Object.keys(tokens).length} tokens, of which four are good`
  )
})

t.test('a spelling that we would not write, signed with our own key, is refused or says what it decodes to: never anything else', async t => {
  const wrong: Record<string, Answer> = {}
  for (const index of [0, 1]) {
    for (const padding of ['', 'a', 'ab']) {
      const parts = [encode(header), encode({ odd: padding, ...claims })]
      for (const spelling of respell(parts[index] ?? '')) {
        const input = parts.with(index, spelling).join('.')
        const signature = sign('sha256', Buffer.from(input), { key: String(stolen.key), dsaEncoding: 'ieee-p1363' })
        const answer = await call(`${input}.${signature.toString('base64url')}`)
        if (answer.status === 401
          ? answer.code !== 'invalid_token'
          : answer.status !== 200 || answer.id !== claims.sub) wrong[spelling] = answer
      }
    }
  }
  t.strictSame(wrong, {})
})

t.test('RFC 7519 4: of a member that is doubled in the claims the last one counts, also for what is checked', async t => {
  const now = Math.floor(clock() / 1000)
  const put = (place: 'first' | 'last', name: string, value: unknown): string => {
    const text = JSON.stringify(claims)
    const member = `${JSON.stringify(name)}:${JSON.stringify(value)}`
    return mint(
      'ES256', stolen.key, header, place === 'first' ? `{${member},${text.slice(1)}` : `${text.slice(0, -1)},${member}}`
    )
  }
  const values: Record<string, unknown> = {
    iss: 'https://evil.example',
    aud: 'https://evil.example',
    sub: '',
    iat: now + 3600,
    jti: null,
    sid: 5,
    client_id: '',
    scope: ['admin']
  }
  const answers: Record<string, Answer> = {}
  const expected: Record<string, Answer> = {}
  for (const [name, value] of Object.entries(values)) {
    answers[`${name}, the bad one first`] = await call(put('first', name, value))
    expected[`${name}, the bad one first`] = { status: 200, id: String(claims.sub) }
    answers[`${name}, the bad one last`] = await call(put('last', name, value))
    expected[`${name}, the bad one last`] = INVALID
  }
  answers['exp, the past one last'] = await call(put('last', 'exp', now - 1))
  expected['exp, the past one last'] = { status: 401, code: 'token_expired' }
  answers['exp, the past one first'] = await call(put('first', 'exp', now - 1))
  expected['exp, the past one first'] = { status: 200, id: String(claims.sub) }
  answers['sub of another, last'] = await call(put('last', 'sub', 'somebody-else'))
  expected['sub of another, last'] = { status: 200, id: 'somebody-else' }
  t.strictSame(answers, expected)
  const escaped = mint(
    'ES256', stolen.key, header,
    JSON.stringify(claims).replace('{', '{"\\u0073cope":"admin",').replace(/"scope":"[^"]*"/, '"scope":""')
  )
  t.equal(
    (await app.inject({ url: '/admin/', headers: bearer(escaped) })).statusCode, 403,
    'a scope that is written in escapes, before the empty one'
  )
})

t.test('deep nesting is 401 and never 500, in the header and in the claims, signed or not', async t => {
  const nest = (levels: number, open = '[', close = ']'): string => `${open.repeat(levels)}${close.repeat(levels)}`
  const tokens: Record<string, string> = {}
  for (const levels of [3_000, 100_000]) {
    for (const [name, nested] of Object.entries({
      lists: nest(levels),
      objects: `${'{"a":'.repeat(levels)}1${'}'.repeat(levels)}`,
      'lists that are not closed': '['.repeat(levels)
    })) {
      tokens[`header of ${levels} ${name}`] = `${encode(nested)}.${encode(claims)}.AAAA`
      tokens[`kid of ${levels} ${name}`] = `${encode(`{"alg":"ES256","typ":"at+jwt","kid":${nested}}`)}.A.AAAA`
      tokens[`alg of ${levels} ${name}, signed`] = mint(
        'ES256', stolen.key, `{"alg":${nested},"typ":"at+jwt","kid":"${header.kid}"}`, claims
      )
      tokens[`claims of ${levels} ${name}, signed`] = mint('ES256', stolen.key, header, nested)
      if (levels === 100_000) {
        tokens[`a claim of ${levels} ${name}, signed`] = mint(
          'ES256', stolen.key, header, `{"odd":${nested},${JSON.stringify(claims).slice(1)}`
        )
      }
    }
  }
  t.strictSame(await findOthers(tokens), {})
})

t.test('a claim of our own that is nested as deeply as a token has room for is no failure', async t => {
  const deep = mint(
    'ES256', stolen.key, header, `{"odd":${'['.repeat(2_700)}${']'.repeat(2_700)},${JSON.stringify(claims).slice(1)}`
  )
  t.ok(deep.length > 7_500 && deep.length <= 8_192, `${deep.length} characters`)
  t.strictSame(await call(deep), { status: 200, id: claims.sub })
})

t.test('every published token over HTTP: as a Bearer token, as a cookie and for revocation it is no token of ours, and no failure', {
  skip: MISSING
}, async t => {
  const published = [
    ...['signature', 'key', 'crypto'].flatMap(
      name => readVectors<WycheproofFile<unknown>>(
        `wycheproof/json_web_${name}_test.json`
      ).testGroups.flatMap(({ tests }) => tests.map(textOf))
    ),
    ...readVectors<Array<{ jws: string }>>('rfc/jws-examples.json').map(({ jws }) => jws)
  ]
  const wrong: Record<string, unknown> = {}
  for (const one of published) {
    const cookie = `__Host-access_token=${encodeURIComponent(one)}`
    const answers = [
      await app.inject({ url: '/protected-route', headers: bearer(one) }),
      await app.inject({ url: '/protected-route', headers: { cookie } }),
      await app.inject({ method: 'POST', url: '/revoke', payload: { token: one } })
    ]
    const [asHeader, asCookie, revoked] = answers.map((
      { statusCode, body }
    ) => `${statusCode} ${JSON.parse(body).code}`)
    // An empty one is none, and a longer one than any of ours is not looked at.
    const expected = one === '' || one.length > 8_192 ? '400' : '200'
    if (asHeader !== '401 invalid_token' || !asCookie?.startsWith('401') || !revoked?.startsWith(
      expected
    )) {
      wrong[one] = {
        asHeader, asCookie, revoked
      }
    }
  }
  t.strictSame(wrong, {}, `${published.length} tokens`)
})

t.test('RFC 8725 3.10, ASVS 9.1.3: a token that brings its own key is 401, and nothing is fetched for it (CVE-2018-0114)', async t => {
  const fetched: Array<string | undefined> = []
  const server = createServer((request, response) => {
    fetched.push(request.url)
    response.end(JSON.stringify({ keys: [jwk] }))
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => server.close())
  const { port } = server.address() as { port: number }
  const own = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const privateKey = own.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
  const jwk = {
    ...createPublicKey(own.publicKey.export({ type: 'spki', format: 'pem' })).export({ format: 'jwk' }),
    kid: header.kid,
    alg: 'ES256',
    use: 'sig'
  }
  const origin = `http://127.0.0.1:${port}`
  const tokens: Record<string, string> = {}
  for (const [name, members] of Object.entries<Claims>({
    jwk: { jwk },
    jku: {
      jku: `${origin}/jku`
    },
    x5u: {
      x5u: `${origin}/x5u`
    },
    x5c: { x5c: ['AAAA'] },
    'kid as an address': {
      kid: `${origin}/kid`
    },
    'jwk and crit': { jwk, crit: ['jwk'] },
    nothing: {}
  })) {
    tokens[name] = mint('ES256', privateKey, { ...header, ...members }, claims)
    tokens[`${name}, without kid`] = mint('ES256', privateKey, { ...header, kid: undefined, ...members }, claims)
    tokens[`${name}, with iss`] = mint('ES256', privateKey, { ...header, ...members }, { ...claims, iss: origin })
  }
  t.strictSame({ others: await findOthers(tokens), fetched }, { others: {}, fetched: [] })
})
