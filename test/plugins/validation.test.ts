import t from 'tap'
import type { Test } from 'tap'
import type { FastifyInstance, LightMyRequestResponse } from 'fastify'
import { bearer, build, logIn, PASSWORD } from '../helper.js'
import { assertOAuthError, assertProblem, listen } from '../routes/support.js'

const JSON_TYPE = { 'content-type': 'application/json' }
const FORM_TYPE = { 'content-type': 'application/x-www-form-urlencoded' }
const MEGABYTE = 'x'.repeat(1024 * 1024)

/** A route that reads a body: a good one would be `members`. */
interface Route {
  method: 'POST' | 'PUT'
  url: string
  members: Record<string, string>
  /** The members that must be there. */
  required: string[]
  /** Members whose text may be anything: an unknown token is not an error of the request. */
  opaque: string[]
  oauth: boolean
  guarded: boolean
}

const ROUTES: Route[] = [
  {
    method: 'POST',
    url: '/token',
    members: { grant_type: 'password', username: 'alice', password: 'wrong', scope: 'admin' },
    required: ['username', 'password'],
    opaque: [],
    oauth: true,
    guarded: false
  },
  {
    method: 'POST',
    url: '/revoke',
    members: { token: 'x', token_type_hint: 'access_token' },
    required: ['token'],
    opaque: ['token', 'token_type_hint'],
    oauth: true,
    guarded: false
  },
  {
    method: 'POST',
    url: '/login',
    members: { username: 'alice', password: 'wrong', scope: 'admin' },
    required: ['username', 'password'],
    opaque: [],
    oauth: false,
    guarded: false
  },
  {
    method: 'POST',
    url: '/refresh',
    members: { refresh_token: 'x', scope: 'admin' },
    required: ['refresh_token'],
    opaque: [],
    oauth: false,
    guarded: false
  },
  {
    method: 'POST', url: '/logout', members: { target: 'this' }, required: [], opaque: [], oauth: false, guarded: false
  },
  {
    method: 'POST',
    url: '/register',
    members: { username: 'carol', password: 'short' },
    required: ['username', 'password'],
    opaque: [],
    oauth: false,
    guarded: false
  },
  {
    method: 'PUT',
    url: '/users/me/password',
    members: { current_password: 'wrong', new_password: 'short' },
    required: ['current_password', 'new_password'],
    opaque: [],
    oauth: false,
    guarded: true
  }
]

interface Case {
  name: string
  headers: Record<string, string>
  payload: string | Buffer
  /** Only these; without it any 4xx will do. */
  status?: number
  /** 2xx will do as well: the standard says ignore. */
  ignorable?: boolean
}

function json (name: string, value: unknown, extra: Partial<Case> = {}): Case {
  return { name, headers: JSON_TYPE, payload: typeof value === 'string' ? value : JSON.stringify(value), ...extra }
}

function jsonCases ({ url, members, required, opaque, oauth }: Route): Case[] {
  const full = JSON.stringify(members)
  const cases: Case[] = [
    json('an array', []),
    json('an array of the right thing', [members]),
    json('a number', 1),
    json('a string', '"text"'),
    json('true', true),
    json('a number that is none', 'NaN'),
    json('truncated', full.slice(0, -1)),
    json('truncated in a member', full.slice(0, -3)),
    json('something behind it', `${full}x`),
    json('two of them', `${full}${full}`),
    json('single quotes', full.replaceAll('"', "'")),
    json('a trailing comma', full.replace(/}$/, ',}')),
    json('only blanks', '   '),
    json('a NUL byte', '\u0000'),
    json('a comment', `/* */${full}x`),
    json('nested deeply', '['.repeat(8_000) + ']'.repeat(8_000), { status: 400 }),
    json('nested deeply, not closed', '['.repeat(8_000)),
    json(
      'nested deeply, of objects', '{"a":'.repeat(3_000) + '1' + '}'.repeat(3_000),
      oauth && required.length === 0 ? { ignorable: true } : {}
    ),
    json('__proto__', full.replace('{', '{"__proto__":{"scopes":["admin"]},'), { status: 400 }),
    json('__proto__ in escapes', full.replace('{', '{"\\u005f_proto__":{"x":1},'), { status: 400 }),
    json('__proto__ within', full.replace('{', '{"a":{"__proto__":null},'), { status: 400 }),
    json('constructor.prototype', full.replace('{', '{"constructor":{"prototype":{"x":1}},'), { status: 400 }),
    json(
      'invalid UTF-8',
      '',
      {
        payload: Buffer.concat([
          Buffer.from(full.slice(0, -2)), Buffer.from([0xc3, 0x28]), Buffer.from(full.slice(-2))
        ]),
        status: 400
      }
    ),
    json(
      'overlong UTF-8', '',
      { payload: Buffer.concat([Buffer.from('{"a":"'), Buffer.from([0xc0, 0xaf]), Buffer.from('"}')]), status: 400 }
    ),
    json(
      'UTF-8 surrogates',
      '',
      {
        payload: Buffer.concat([Buffer.from('{"a":"'), Buffer.from([0xed, 0xa0, 0x80]), Buffer.from('"}')]), status: 400
      }
    ),
    json('UTF-16', '', { payload: Buffer.from(`\ufeff${full}`, 'utf16le'), status: 400 }),
    json('1 MB of blanks', ' '.repeat(1024 * 1024) + full, { status: 413 }),
    json('1 MB in an unknown member', { ...members, unknown: MEGABYTE }, { status: 413 }),
    json(
      '10,000 members', Object.fromEntries(Array.from({ length: 10_000 }, (_, index) => [`m${index}`, 1])),
      { status: 413 }
    ),
    json('an unknown member', { ...members, unknown: 1 }, oauth ? { ignorable: true } : { status: 400 }),
    json(
      'an unknown member with an odd name', { ...members, 'a"\u0000\ud800\n<b>': 1 },
      oauth ? { ignorable: true } : { status: 400 }
    ),
    json(
      'an unknown member with a huge name', { ...members, ['n'.repeat(10_000)]: 1 },
      oauth ? { ignorable: true } : { status: 400 }
    ),
    json('a member named constructor', { ...members, constructor: 1 }, oauth ? { ignorable: true } : { status: 400 }),
    json('a member named toString', { ...members, toString: 1 }, oauth ? { ignorable: true } : { status: 400 })
  ]
  if (required.length > 0 && url !== '/refresh') {
    cases.push(
      json('nothing', '', { status: 400 }), json('null', null, { status: 400 }),
      json('an empty object', {}, { status: 400 })
    )
  }
  for (const name of required) {
    const { [name]: _left, ...rest } = members
    cases.push(json(`without ${name}`, rest, url === '/refresh' ? {} : { status: 400 }))
  }
  for (const name of Object.keys(members)) {
    for (const [kind, value] of Object.entries({
      'a number': 1,
      null: null,
      'an array': [members[name]],
      'an empty array': [],
      'an object': { toString: 'x' },
      true: true,
      'a huge number': 1e308
    })) {
      cases.push(json(`${name} is ${kind}`, { ...members, [name]: value }, { status: 400 }))
    }
    const ignorable = opaque.includes(name)
    cases.push(
      json(`${name} with a NUL`, { ...members, [name]: `${members[name]}\u0000` }, { ignorable }),
      json(
        `${name} is half a surrogate pair`, full.replace(`"${name}":"${members[name]}"`, `"${name}":"\\ud800"`),
        { ignorable }
      ),
      json(`${name} is empty`, { ...members, [name]: '' }, { ignorable: ignorable && name !== 'token' }),
      json(`${name} is 1 MB`, { ...members, [name]: MEGABYTE }, { status: 413 }),
      json(`${name} is 15 kB`, { ...members, [name]: 'x'.repeat(15_000) }, { status: 400 }),
      json(`${name} is __proto__`, { ...members, [name]: '__proto__' }, { ignorable }),
      json(`${name} is SQL`, { ...members, [name]: "' or 1=1 --" }, { ignorable }),
      // A template that must stay text: that it is no template here is the point.
      json(`${name} is a format`, { ...members, [name]: '%s%n$' + '{7*7}' }, { ignorable })
    )
  }
  return cases
}

function typeCases ({ members, required, url, oauth }: Route): Case[] {
  const payload = JSON.stringify(members)
  const types = [
    'text/plain', 'text/json', 'application/xml', 'application/octet-stream', 'application/jsonp',
    'multipart/mixed; boundary=x', ...(oauth ? [] : ['multipart/form-data; boundary=x']),
    'application/json-patch+json', '*/*', 'json', ';', 'application/', '\u00e4'
  ]
  const cases: Case[] = types.map(
    type => ({ name: `the content type ${type}`, headers: { 'content-type': type }, payload, status: 415 })
  )
  cases.push({ name: 'no content type', headers: {}, payload, status: 415 })
  if (!oauth) {
    cases.push({
      name: 'a form, which is for the OAuth endpoints',
      headers: FORM_TYPE,
      payload: new URLSearchParams(members).toString(),
      status: 415
    })
  }
  if (oauth) {
    cases.push({ name: 'JSON that says it is a form', headers: FORM_TYPE, payload })
    for (const type of ['multipart/form-data; boundary=x', 'multipart/form-data']) {
      cases.push({ name: `JSON that says it is ${type}`, headers: { 'content-type': type }, payload })
    }
  }
  if (required.length > 0 && url !== '/refresh') {
    cases.push({
      name: 'no body and no content type', headers: {}, payload: '', status: 400
    })
  }
  return cases
}

function formCases ({ members, required, opaque }: Route): Case[] {
  const full = new URLSearchParams(members).toString()
  const form = (
    name: string, payload: string | Buffer, extra: Partial<Case> = {}
  ): Case => ({ name: `form: ${name}`, headers: FORM_TYPE, payload, ...extra })
  const cases = [
    form('nothing', '', { status: 400 }),
    form('only separators', '&&&&==&=', { status: 400 }),
    form('invalid UTF-8 in percents', `${full}&x=%ff`, { status: 400 }),
    form('overlong UTF-8 in percents', `${full}&x=%c0%af`, { status: 400 }),
    form('a surrogate in percents', `${full}&x=%ed%a0%80`, { status: 400 }),
    form('invalid UTF-8 in bytes', Buffer.concat([Buffer.from(`${full}&x=`), Buffer.from([0xff])]), { status: 400 }),
    form('half a percent', `${full}&x=%`, { status: 400 }),
    form('no hexadecimal', `${full}&x=%zz`, { status: 400 }),
    form('__proto__', `${full}&__proto__=x`, { ignorable: opaque.length > 0 }),
    form(
      '__proto__[scopes]', `${full}&__proto__[scopes]=admin&constructor[prototype][x]=1`,
      { ignorable: opaque.length > 0 }
    ),
    form('__proto__ twice', `${full}&__proto__=x&__proto__=y`, { ignorable: opaque.length > 0 }),
    form('1 MB', `${full}&x=${MEGABYTE}`, { status: 413 }),
    form('5,000 members', 'a=&'.repeat(5_000) + full, { ignorable: false })
  ]
  for (const name of Object.keys(members)) {
    cases.push(
      form(`${name} twice`, `${full}&${name}=${members[name]}`, { status: 400 }),
      form(
        `${name} twice, once in percents`,
        `${full}&%${name.charCodeAt(0).toString(16)}${name.slice(1)}=${members[name]}`, { status: 400 }
      ),
      form(`${name} a hundred times`, Array(100).fill(`${name}=x`).join('&'), { status: 400 }),
      form(`${name}[]`, full.replace(`${name}=`, `${name}[]=`), { ignorable: opaque.includes(name) }),
      form(
        `${name} in invalid percents`, `${full.replace(new RegExp(`${name}=[^&]*`), `${name}=%ff`)}`, { status: 400 }
      ),
      form(
        `${name} with a NUL`, `${full.replace(new RegExp(`${name}=[^&]*`), `${name}=a%00b`)}`,
        { ignorable: opaque.includes(name) }
      )
    )
  }
  for (const name of required) {
    cases.push(form(
    `without ${name}`, full.replace(new RegExp(`&?${name}=[^&]*`), ''), { status: 400 }
    ))
  }
  return cases
}

function assertRefused (
  t: Test, route: Route, response: LightMyRequestResponse, { name, status, ignorable }: Case
): void {
  const { statusCode } = response
  if (ignorable === true && statusCode >= 200 && statusCode < 300) return
  if (status !== undefined) t.equal(statusCode, status, `${name} is ${status}`)
  if (statusCode < 400 || statusCode > 499) {
    t.fail(`${name} is a 4xx`, { found: statusCode, body: response.body.slice(0, 200) })
    return
  }
  if (route.oauth) assertOAuthError(t, response, statusCode, undefined, name)
  else assertProblem(t, response, statusCode, undefined, name)
}

let guard: { authorization: string }
let app: FastifyInstance

t.before(async () => {
  app = (await build(t, { registration: true })).app
  guard = bearer((await logIn(app)).access_token)
})

for (const route of ROUTES) {
  t.test(`whatever is bad in a body of ${route.method} ${route.url} is a 4xx in the form of the contract`, async t => {
    const cases = [...jsonCases(route), ...typeCases(route), ...(route.oauth ? formCases(route) : [])]
    for (const one of cases) {
      const headers = { ...one.headers, ...(route.guarded ? guard : {}) }
      const response = await app.inject({ method: route.method, url: route.url, headers, payload: one.payload })
      assertRefused(t, route, response, one)
    }
    t.equal(({} as { scopes?: unknown }).scopes, undefined, 'no prototype is polluted')
    t.equal(({} as { x?: unknown }).x, undefined)
    await logIn(app)
  })
}

t.test('a value is never in the answer: it may be a password', async t => {
  for (const route of ROUTES) {
    for (const name of Object.keys(route.members)) {
      for (const value of [
        ['hunter2-hunter2'], { a: 'hunter2-hunter2' }, 'hunter2-hunter2'.repeat(900), 'hunter2-hunter2\u0000'
      ]) {
        const response = await app.inject({
          method: route.method,
          url: route.url,
          headers: { ...JSON_TYPE, ...guard },
          payload: JSON.stringify({ ...route.members, [name]: value })
        })
        t.notMatch(response.body, /hunter2/, `${route.url} ${name}`)
      }
    }
    const broken = await app.inject({
      method: route.method, url: route.url, headers: { ...JSON_TYPE, ...guard }, payload: '{"password": hunter2-hunter2'
    })
    t.notMatch(broken.body, /hunter2/, route.url)
  }
})

t.test('the detail names the member that is wrong, also where the body may be left out', async t => {
  const table: Array<[url: string, payload: object, member: RegExp]> = [
    ['/login', { username: 1, password: 'x' }, /username/],
    ['/login', { username: 'alice' }, /password/],
    ['/login', { username: 'alice', password: 'x', remember: true }, /remember/],
    ['/refresh', { refresh_token: 1 }, /refresh_token/],
    ['/refresh', { token: 'x' }, /token/],
    ['/logout', { target: 'none' }, /target/]
  ]
  for (const [url, payload, member] of table) {
    const response = await app.inject({ method: 'POST', url, payload })
    assertProblem(t, response, 400, 'invalid_request')
    t.match(response.json().detail, member, `${url} ${JSON.stringify(payload)}`)
  }
})

t.test('a number is no username, and what is unknown is not dropped: nothing is coerced or removed', async t => {
  await app.latchkey.users.add({ username: '12345', password: PASSWORD })
  assertProblem(
    t, await app.inject({ method: 'POST', url: '/login', payload: { username: 12345, password: PASSWORD } }), 400,
    'invalid_request'
  )
  assertProblem(
    t,
    await app.inject({ method: 'POST', url: '/login', payload: { username: '12345', password: PASSWORD, extra: 1 } }),
    400, 'invalid_request'
  )
  t.equal(
    (await app.inject({
      method: 'POST', url: '/login', payload: { username: '12345', password: PASSWORD }
    })).statusCode,
    200
  )
})

t.test('the same over real sockets: in pieces, too long, cut off, compressed', async t => {
  const { app } = await build(t)
  const origin = await listen(app)
  const stream = (...chunks: string[]): ReadableStream => new ReadableStream({
    start (controller) {
      for (const chunk of chunks) {
        controller.enqueue(new TextEncoder().encode(
          chunk
        ))
      } controller.close()
    }
  })
  const post = async (headers: Record<string, string>, body: ReadableStream | string | Uint8Array): Promise<number> => {
    const response = await fetch(`${origin}/login`, { method: 'POST', headers, body, duplex: 'half' } as RequestInit)
    await response.text()
    return response.status
  }
  t.equal(
    await post(JSON_TYPE, stream('{"username":"al', 'ice","password":', JSON.stringify(PASSWORD), '}')), 200,
    'in pieces'
  )
  t.equal(
    await post(JSON_TYPE, stream(...Array.from({ length: 32 }, () => 'x'.repeat(1024)))), 413,
    'too long without saying so'
  )
  t.equal(await post(JSON_TYPE, stream('{"username":"al')), 400, 'cut off')
  t.equal(await post(JSON_TYPE, stream()), 400, 'nothing at all')
  t.equal(
    await post({ ...JSON_TYPE, 'content-encoding': 'gzip' }, new Uint8Array([0x1f, 0x8b, 8, 0, 0xff])), 400,
    'compressed'
  )
})
