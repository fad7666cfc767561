import t from 'tap'
import { challengeOf, readBasic, readBearer, readClient } from '../../../lib/http/credentials.js'
import { LatchkeyError } from '../../../lib/errors.js'
import { ERROR_CODES } from '../../../schemas/errors.js'

const basic = (text: string, scheme = 'Basic'): string => `${scheme} ${Buffer.from(text).toString('base64')}`

t.test('reading a Bearer header', async t => {
  const table: Array<[header: string | undefined, token: string | undefined]> = [
    [undefined, undefined], ['', undefined],
    ['Bearer abc', 'abc'], ['bearer abc', 'abc'], ['BEARER abc', 'abc'], ['bEaReR abc', 'abc'],
    ['Bearer a.b.c', 'a.b.c'], ['Bearer ', ''], ['Bearer', ''], ['bearer', ''],
    ['Bearer a b', 'a b'], ['Bearer  a', 'a'],
    ['Basic YTpi', undefined], ['Bearerabc', undefined], ['Bearer\tabc', undefined], [' Bearer abc', undefined],
    [' ', undefined], ['Bear abc', undefined], ['Token abc', undefined], ['abc', undefined], ['DPoP abc', undefined],
    ['Bearer,Basic abc', undefined], ['"Bearer" abc', undefined]
  ]
  for (const [header, token] of table) {
    const name = JSON.stringify(header) ?? 'none'
    t.equal(readBearer(header), token, name)
  }
})

t.test('reading a Basic header', async t => {
  const table: Array<[header: string | undefined, expected: { id: string, secret: string } | undefined]> = [
    [undefined, undefined], ['', undefined], ['Basic', undefined], ['Basic ', undefined], [
      'Basic  YTpi', undefined
    ], ['Bearer YTpi', undefined], [
      'Basic YTpi x', undefined
    ],
    ['xBasic YTpi', undefined], [
      'Basic YTpi, Basic YTpi', undefined
    ], ['Basic Y*pi', undefined], ['Basic YTpi===', undefined], ['Basic YTpi\n', undefined],
    [basic('a:b'), { id: 'a', secret: 'b' }], [
      basic('a:b', 'basic'), { id: 'a', secret: 'b' }
    ], [basic('a:b', 'BASIC'), { id: 'a', secret: 'b' }],
    [
      'Basic YTpi', { id: 'a', secret: 'b' }
    ], [basic(':'), { id: '', secret: '' }], [
      basic('a:'), { id: 'a', secret: '' }
    ], [basic(':b'), { id: '', secret: 'b' }],
    [basic('no colon'), undefined], [basic('a:b:c'), { id: 'a', secret: 'b:c' }],
    [
      basic('a%3Ab:c%25'), { id: 'a:b', secret: 'c%' }
    ], [basic('a+b:c+d'), { id: 'a b', secret: 'c d' }], [basic('a%2Bb:c'), { id: 'a+b', secret: 'c' }],
    [basic('a%zz:b'), undefined], [basic('a:%'), undefined], [basic('a:%ff'), undefined], [
      basic('%C3%A9:é'), { id: 'é', secret: 'é' }
    ]
  ]
  for (const [header, expected] of table) t.same(readBasic(header), expected, JSON.stringify(header) ?? 'none')
})

t.test('the client of a request: by Basic or in the body, empty is none, half is refused, twice is malformed (RFC 6749 section 2.3)', async t => {
  const app = { id: 'app', secret: 'secret' }
  const table: Array<[header: string | undefined, body: {
    client_id?: string, client_secret?: string
  }, expected: { id: string, secret: string | undefined } | 'none' | 'invalid_client' | 'invalid_request']> = [
    [undefined, {}, 'none'],
    [undefined, { client_id: '' }, 'none'],
    [undefined, { client_id: '', client_secret: '' }, 'none'],
    [basic(':'), {}, 'none'],
    [basic(':'), { client_id: '', client_secret: '' }, 'none'],
    ['Bearer abc', {}, 'none'],
    [basic('app:secret'), {}, app],
    [basic('app:secret', 'bAsIc'), {}, app],
    [basic('a%3Ap+p:s%2Fe'), {}, { id: 'a:p p', secret: 's/e' }],
    [basic('app:secret'), { client_id: '', client_secret: '' }, app],
    [basic('app:secret'), { client_id: 'app' }, app],
    [undefined, { client_id: 'app', client_secret: 'secret' }, app],
    [basic(':'), { client_id: 'app', client_secret: 'secret' }, app],
    ['Bearer abc', { client_id: 'app', client_secret: 'secret' }, app],
    [basic('app:'), {}, { id: 'app', secret: undefined }],
    [basic('app:'), { client_id: 'app' }, { id: 'app', secret: undefined }],
    [basic(':secret'), {}, 'invalid_client'],
    [basic(' :'), {}, { id: ' ', secret: undefined }],
    ['Basic', {}, 'invalid_client'],
    ['Basic !!', {}, 'invalid_client'],
    ['basic !!', {}, 'invalid_client'],
    ['Basic !!', { client_id: 'app', client_secret: 'secret' }, 'invalid_client'],
    [basic('no colon'), {}, 'invalid_client'],
    [undefined, { client_id: 'app' }, { id: 'app', secret: undefined }],
    [undefined, { client_secret: 'secret' }, 'invalid_client'],
    [basic(':'), { client_id: 'app' }, { id: 'app', secret: undefined }],
    [basic('app:secret'), { client_id: 'app', client_secret: 'secret' }, 'invalid_request'],
    [basic('app:secret'), { client_secret: 'secret' }, 'invalid_request'],
    [basic('app:secret'), { client_id: 'other' }, 'invalid_request'],
    [basic('app:'), { client_secret: 'secret' }, 'invalid_request']
  ]
  for (const [header, body, expected] of table) {
    const name = `${JSON.stringify(header)} ${JSON.stringify(body)}`
    if (expected === 'none') t.equal(readClient(header, body), undefined, name)
    else if (typeof expected === 'object') t.same(readClient(header, body), expected, name)
    else t.throws(() => readClient(header, body), { code: expected }, name)
  }
})

t.test('challenges: bare without credentials, else code, sentence and scope', async t => {
  t.equal(challengeOf(new LatchkeyError('unauthenticated')), 'Bearer')
  t.equal(
    challengeOf(new LatchkeyError('token_expired')),
    'Bearer error="invalid_token", error_description="The access token expired."'
  )
  t.equal(challengeOf(new LatchkeyError('insufficient_scope', { scope: 'admin items:read' })),
    'Bearer error="insufficient_scope", error_description="The access token lacks a required scope.", scope="admin items:read"')
  t.equal(
    challengeOf(new LatchkeyError('username_taken')),
    'Bearer error="invalid_request", error_description="This username is taken."'
  )
  for (const code of ERROR_CODES) {
    t.match(
      challengeOf(new LatchkeyError(code)), /^Bearer( error="[a-z_]+", error_description="[^"\\]+")?$/, code
    )
  }
})
