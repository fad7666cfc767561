import fc from 'fast-check'
import t from 'tap'
import { readBasic, readBearer, readClient } from '../../lib/http/credentials.js'
import { isCrossSite } from '../../lib/http/cross-site.js'
import { LatchkeyError } from '../../lib/errors.js'
import { createId } from '../../lib/identity/ids.js'
import { formatRefreshToken, readRefreshToken } from '../../lib/sessions/refresh-token.js'
import { formatScope, isNarrower, narrowScope, parseScope } from '../../lib/identity/scopes.js'
import { bearer, build, logIn } from '../helper.js'
import { claimsOf, databaseFile, headerOf, mint, openSigningKey, SECRET } from '../routes/support.js'
import { SEED } from './seed.js'

// Generates texts, and checks the rules that hold for every text that reaches a parser. Examples written by hand are
// in test/lib and test/plugins/tokens.test.ts.
//   LATCHKEY_TEST_SEED=random LATCHKEY_TEST_RUNS=100000 node dist/test/model/parsers.test.js

const RUNS = Number(process.env.LATCHKEY_TEST_RUNS ?? 2_000)
const options = { seed: SEED, numRuns: RUNS }

t.setTimeout(60_000 + RUNS * 20)

/** Texts that are like a header, a token or a scope, and texts that are like nothing. */
const text = fc.oneof(
  fc.string(), fc.string({ unit: 'binary' }),
  fc.string({ unit: fc.constantFrom(' ', '\t', ':', '%', '+', '=', '.', '-', '_', 'a', 'B', '0', '\n', '"', ',') })
)

/** A text with one to three of its characters taken out, doubled, put in or replaced. */
function mutations (original: string): fc.Arbitrary<string> {
  const change = fc.record({
    at: fc.nat({ max: original.length }),
    how: fc.constantFrom('delete', 'double', 'insert', 'replace', 'case'),
    character: fc.oneof(
      fc.string({ unit: 'binary', minLength: 1, maxLength: 1 }),
      fc.constantFrom('A', 'z', '0', '-', '_', '.', ' ', '=', '\0')
    )
  })
  return fc.array(
    change, { minLength: 1, maxLength: 3 }
  ).map(changes => changes.reduce((text, { at, how, character }) => {
    const [before, one, after] = [text.slice(0, at), text.slice(at, at + 1), text.slice(at + 1)]
    switch (how) {
      case 'delete': return before + after
      case 'double': return before + one + one + after
      case 'insert': return before + character + one + after
      case 'case': return before + (one === one.toLowerCase() ? one.toUpperCase() : one.toLowerCase()) + after
      default: return before + character + after
    }
  }, original))
}

const KEY = Buffer.alloc(32, 1)
const REFRESH_TOKEN = formatRefreshToken({
  key: KEY, nonce: Buffer.alloc(18, 5).toString('base64url'), sessionId: createId(Date.UTC(2026, 1, 1)), generation: 7
})

t.test('a refresh token: every session and generation comes back as it was', async () => {
  fc.assert(fc.property(fc.uint8Array({
    minLength: 32, maxLength: 32
  }), fc.uint8Array({ minLength: 18, maxLength: 18 }), fc.uuid(), fc.nat({ max: 2 ** 48 - 1 }), (
    bytes, random, session, generation
  ) => {
    const key = Buffer.from(bytes)
    const nonce = Buffer.from(random).toString('base64url')
    const token = formatRefreshToken({ key, nonce, sessionId: session, generation })
    const parts = readRefreshToken([KEY, key], token)
    return parts?.sessionId === session && parts.generation === generation && parts.nonce === nonce
  }), options)
})

t.test('the parser of refresh tokens accepts no other text', async () => {
  fc.assert(fc.property(fc.oneof(
    text, mutations(REFRESH_TOKEN), text.map(text => `lkr_${text}`),
    fc.uint8Array({ minLength: 72, maxLength: 72 }).map(bytes => `lkr_${Buffer.from(bytes).toString('base64url')}`)
  ), token => {
    return (readRefreshToken([KEY], token) !== undefined) === (token === REFRESH_TOKEN)
  }), options)
})

t.test('an Authorization header is a Bearer token or none: never both Bearer and Basic', async () => {
  const header = fc.oneof(
    text,
    fc.tuple(
      fc.mixedCase(fc.constantFrom('bearer', 'basic', 'digest')), fc.constantFrom('', ' ', '  ', '\t'), text
    ).map(parts => parts.join(''))
  )
  fc.assert(fc.property(header, authorization => {
    const isBearer = /^bearer( |$)/i.test(authorization)
    const token = readBearer(authorization)
    if (!isBearer) return token === undefined
    return token !== undefined && authorization.endsWith(token) && readBasic(authorization) === undefined
  }), options)
})

t.test('an HTTP Basic header: what a client encodes after RFC 6749 section 2.3.1 comes back, and whoever names a client is refused', async () => {
  const part = fc.string({ unit: 'grapheme' })
  const encode = (text: string): string => new URLSearchParams({ '': text }).toString().slice(1)
  fc.assert(fc.property(part, part, fc.mixedCase(fc.constant('Basic')), (id, secret, scheme) => {
    const header = `${scheme} ${Buffer.from(`${encode(id)}:${encode(secret)}`).toString('base64')}`
    const found = readBasic(header)
    if (found?.id !== id || found.secret !== secret) return false
    try {
      const client = readClient(header, {})
      return client === undefined
        ? id === '' && secret === ''
        : client.id === id && (client.secret ?? '') === secret && id !== ''
    } catch (error) {
      return error instanceof LatchkeyError && error.code === 'invalid_client'
    }
  }), options)
  fc.assert(fc.property(text, rest => { readBasic(`Basic ${rest}`) }), options)
})

t.test('scopes: parsing is its own end, and narrowing never widens', async () => {
  fc.assert(fc.property(text, text => {
    const scopes = parseScope(text)
    return formatScope(parseScope(formatScope(
      scopes
    ))) === formatScope(scopes) && new Set(scopes).size === scopes.length && scopes.every(
      scope => scope !== '' && !scope.includes(' ')
    )
  }), options)
  const name = fc.oneof(
    fc.constantFrom('admin', 'items:read', 'items:write', '__proto__', 'Admin', 'admi'),
    fc.string().filter(text => text !== '' && !text.includes(' '))
  )
  fc.assert(fc.property(fc.array(name), fc.option(
    fc.oneof(fc.array(name).map(names => names.join(' ')), text), { nil: undefined }
  ), (names, requested) => {
    const granted = parseScope(formatScope(names))
    try {
      const scopes = narrowScope(granted, requested)
      const asked = parseScope(requested ?? '')
      return isNarrower(granted, requested) && scopes.every(
        scope => granted.includes(scope)
      ) && formatScope(scopes) === formatScope(
        asked.length === 0 ? granted : asked
      )
    } catch (error) {
      return error instanceof LatchkeyError && error.code === 'invalid_scope' && parseScope(requested ?? '').some(
        scope => !granted.includes(scope)
      )
    }
  }), options)
})

t.test('a request from another site: only what a browser says of our own origin passes, whatever the headers hold', async () => {
  const host = 'auth.example.com'
  const trusted = new Set(['https://app.example.com'])
  const origin = fc.oneof(
    text,
    fc.webUrl(),
    fc.constantFrom(
      'null', `https://${host}`, `https://${host}.evil.example`, `https://evil.example/${host}`,
      `https://${host}@evil.example`, 'https://app.example.com', 'https://app.example.com.evil.example'
    ),
    mutations(`https://${host}`)
  )
  const request = fc.record({
    method: fc.constantFrom('POST', 'PUT', 'PATCH', 'DELETE', 'QUERY'),
    fetchSite: fc.option(
      fc.oneof(fc.constantFrom('same-origin', 'same-site', 'cross-site', 'none'), text), { nil: undefined }
    ),
    origin: fc.option(origin, { nil: undefined }),
    host: fc.constant(host),
    isUpgrade: fc.boolean()
  })
  fc.assert(fc.property(request, request => {
    const { fetchSite, origin } = request
    if (isCrossSite(
      request, trusted
    )) return !(fetchSite === 'same-origin' || (fetchSite === undefined && origin === `https://${host}`))
    if (origin !== undefined && trusted.has(origin)) return true
    if (fetchSite !== undefined) return fetchSite === 'same-origin' || fetchSite === 'none'
    return origin === undefined || new URL(origin).host === host
  }), options)
  fc.assert(
    fc.property(
      request, fc.constantFrom('GET', 'HEAD', 'OPTIONS'),
      (request, method) => !isCrossSite({ ...request, method, isUpgrade: false }, trusted)
    ),
    options
  )
})

t.test('an access token: no text but itself is one, whatever the header or the claims say', async t => {
  const file = databaseFile(t)
  const { app } = await build(t, { database: file, secret: SECRET })
  const { access_token: token } = await logIn(app)
  const [header = '', payload = '', signature = ''] = token.split('.')
  const encoded = (value: fc.Arbitrary<unknown>): fc.Arbitrary<string> => value.map(
    value => Buffer.from(typeof value === 'string' ? value : JSON.stringify(value) ?? '').toString('base64url')
  )
  const member = fc.oneof(fc.constantFrom('alg', 'typ', 'kid', 'crit', 'b64', 'jwk', 'jku', 'x5u', 'zip'), fc.string())
  const odd = fc.oneof(fc.jsonValue(), text)
  const headers = encoded(fc.oneof(
    odd,
    fc.dictionary(
      member, fc.oneof(fc.jsonValue(), fc.constantFrom('none', 'HS256', 'ES256', 'at+jwt', headerOf(token).kid))
    ),
    fc.dictionary(member, fc.jsonValue(), { minKeys: 1 }).map(members => ({ ...headerOf(token), ...members }))
  ))
  const claims = encoded(fc.oneof(
    odd,
    fc.dictionary(
      fc.oneof(fc.constantFrom('sub', 'scope', 'exp', 'jti', 'sid'), fc.string()), fc.jsonValue()
    ).map(members => ({ ...claimsOf(token), ...members }))
  ))
  const forged = fc.oneof(
    text,
    mutations(token),
    headers.map(header => `${header}.${payload}.${signature}`),
    claims.map(payload => `${header}.${payload}.${signature}`),
    fc.tuple(
      headers,
      claims,
      fc.oneof(
        fc.constant(signature), fc.constant(''),
        fc.uint8Array({ minLength: 64, maxLength: 64 }).map(bytes => Buffer.from(bytes).toString('base64url'))
      )
    ).map(parts => parts.join('.'))
  )
  const verdict = async (token: string): Promise<string> => {
    try {
      await app.latchkey.tokens.verify(token)
      return 'good'
    } catch (error) {
      return error instanceof LatchkeyError ? error.code : String(error)
    }
  }
  await fc.assert(
    fc.asyncProperty(forged, async forged => await verdict(forged) === (forged === token ? 'good' : 'invalid_token')),
    options
  )
  t.equal((await app.inject({ url: '/protected-route', headers: bearer(token) })).statusCode, 200)

  // Signed with our own key: who has that may say anything that a token of ours says, and in no other words.
  const stolen = openSigningKey(file)
  const names = ['iss', 'sub', 'aud', 'client_id', 'exp', 'iat', 'jti', 'sid', 'scope']
  const wrongly = fc.record({
    name: fc.constantFrom(...names),
    value: fc.oneof(fc.constant(undefined), fc.constant(null), fc.boolean(), fc.double(), fc.object(), fc.constant(''))
  })
    .filter((
      { name, value }
    ) => !(name === 'scope' && value === '') && !(typeof value === 'number' && Number.isSafeInteger(value)))
  await fc.assert(fc.asyncProperty(wrongly, async ({ name, value }) => {
    return await verdict(mint(
      'ES256', stolen.key, headerOf(token), { ...claimsOf(token), [name]: value }
    )) === 'invalid_token'
  }), { ...options, numRuns: Math.ceil(RUNS / 4) })
})
