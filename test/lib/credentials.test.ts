import t from 'tap'
import { assertNoClient, challengeOf, readBasic, readBearer } from '../../lib/credentials.js'
import { ERROR_CODES, LatchkeyError } from '../../lib/errors.js'

const basic = (text: string, scheme = 'Basic'): string => `${scheme} ${Buffer.from(text).toString('base64')}`

t.test('reading a Bearer header', async t => {
  const table: Array<[header: string | undefined, token: string | undefined | 'refused']> = [
    [undefined, undefined], ['', undefined],
    ['Bearer abc', 'abc'], ['bearer abc', 'abc'], ['BEARER abc', 'abc'], ['bEaReR abc', 'abc'],
    ['Bearer a.b.c', 'a.b.c'], ['Bearer ', ''], ['Bearer', ''], ['bearer', ''],
    ['Bearer a b', 'a b'], ['Bearer  a', 'a'],
    ['Basic YTpi', 'refused'], ['Bearerabc', 'refused'], ['Bearer\tabc', 'refused'], [' Bearer abc', 'refused'], [' ', 'refused'],
    ['Bear abc', 'refused'], ['Token abc', 'refused'], ['abc', 'refused'], ['DPoP abc', 'refused'], ['Bearer,Basic abc', 'refused'], ['"Bearer" abc', 'refused']
  ]
  for (const [header, token] of table) {
    const name = JSON.stringify(header) ?? 'none'
    if (token === 'refused') t.throws(() => readBearer(header), { code: 'unauthenticated' }, `${name} does not fall through to the cookie`)
    else t.equal(readBearer(header), token, name)
  }
})

t.test('reading a Basic header', async t => {
  const table: Array<[header: string | undefined, expected: { id: string, secret: string } | undefined]> = [
    [undefined, undefined], ['', undefined], ['Basic', undefined], ['Basic ', undefined], ['Basic  YTpi', undefined], ['Bearer YTpi', undefined], ['Basic YTpi x', undefined],
    ['xBasic YTpi', undefined], ['Basic YTpi, Basic YTpi', undefined], ['Basic Y*pi', undefined], ['Basic YTpi===', undefined], ['Basic YTpi\n', undefined],
    [basic('a:b'), { id: 'a', secret: 'b' }], [basic('a:b', 'basic'), { id: 'a', secret: 'b' }], [basic('a:b', 'BASIC'), { id: 'a', secret: 'b' }],
    ['Basic YTpi', { id: 'a', secret: 'b' }], [basic(':'), { id: '', secret: '' }], [basic('a:'), { id: 'a', secret: '' }], [basic(':b'), { id: '', secret: 'b' }],
    [basic('no colon'), undefined], [basic('a:b:c'), { id: 'a', secret: 'b:c' }],
    [basic('a%3Ab:c%25'), { id: 'a:b', secret: 'c%' }], [basic('a+b:c+d'), { id: 'a b', secret: 'c d' }], [basic('a%2Bb:c'), { id: 'a+b', secret: 'c' }],
    [basic('a%zz:b'), undefined], [basic('a:%'), undefined], [basic('a:%ff'), undefined], [basic('%C3%A9:é'), { id: 'é', secret: 'é' }]
  ]
  for (const [header, expected] of table) t.same(readBasic(header), expected, JSON.stringify(header) ?? 'none')
})

t.test('a client that nobody knows is refused, an empty one is none', async t => {
  const table: Array<[header: string | undefined, body: { client_id?: string, client_secret?: string }, isRefused: boolean]> = [
    [undefined, {}, false],
    [undefined, { client_id: '' }, false],
    [undefined, { client_id: '', client_secret: '' }, false],
    [basic(':'), {}, false],
    ['Bearer abc', {}, false],
    [basic('app:'), {}, true],
    [basic('app:secret'), {}, true],
    [basic('app:secret'), { client_id: '' }, true],
    [basic(' :'), {}, true],
    ['Basic', {}, true],
    ['Basic !!', {}, true],
    ['basic !!', {}, true],
    [basic('no colon'), {}, true],
    [undefined, { client_id: 'app' }, true],
    [basic(':'), { client_id: 'app' }, true]
  ]
  for (const [header, body, isRefused] of table) {
    const name = `${JSON.stringify(header)} ${JSON.stringify(body)}`
    if (isRefused) t.throws(() => assertNoClient(header, body), { code: 'invalid_client', statusCode: 401 }, name)
    else t.doesNotThrow(() => assertNoClient(header, body), name)
  }
})

t.test('a secret without a client id was not checked, and must not look as if it had been', async t => {
  t.throws(() => assertNoClient(undefined, { client_secret: 'secret' }), { code: 'invalid_client' }, 'in the body')
  t.throws(() => assertNoClient(basic(':secret'), {}), { code: 'invalid_client' }, 'in the header')
})

t.test('challenges: bare without credentials, else code, sentence and scope', async t => {
  t.equal(challengeOf(new LatchkeyError('unauthenticated')), 'Bearer')
  t.equal(challengeOf(new LatchkeyError('token_expired')), 'Bearer error="invalid_token", error_description="The access token expired."')
  t.equal(challengeOf(new LatchkeyError('insufficient_scope', { scope: 'admin items:read' })),
    'Bearer error="insufficient_scope", error_description="The access token lacks a scope that this needs.", scope="admin items:read"')
  t.equal(challengeOf(new LatchkeyError('username_taken')), 'Bearer error="invalid_request", error_description="This username is taken."')
  for (const code of ERROR_CODES) t.match(challengeOf(new LatchkeyError(code)), /^Bearer( error="[a-z_]+", error_description="[^"\\]+")?$/, code)
})
