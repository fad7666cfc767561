import { generateKeyPairSync } from 'node:crypto'
import t from 'tap'
import { optionsFromEnvironment, readOptions, readServiceOptions } from '../../../lib/options/options.js'
import type { OptionSchema } from '../../../lib/options/check.js'
import { BUILT_IN_SCOPES } from '../../../lib/identity/scopes.js'
import { Options, ServiceOptions } from '../../../schemas/options.js'
import type { LatchkeyOptions } from '../../../schemas/options.js'

const SECRET = 'a secret of at least thirty-two bytes'

function messageOf (work: () => unknown): string | undefined {
  try {
    work()
  } catch (error) {
    if (!(error instanceof TypeError)) throw error
    return error.message
  }
  return undefined
}

t.test('nothing given: the defaults', async t => {
  for (const given of [
    {}, { cookies: {} },
    { issuer: undefined, secret: undefined, scopes: undefined, cookies: undefined, users: undefined, now: undefined },
    { cookies: { secure: undefined } }, Object.create(null)
  ]) {
    const { now, ...settings } = readOptions(given)
    t.equal(now, undefined)
    t.same(settings, {
      issuer: 'http://127.0.0.1:3000',
      audience: ['http://127.0.0.1:3000'],
      database: './latchkey.db',
      revocationBound: 1_000,
      databaseTimeout: 5_000,
      acceptLostCommits: false,
      secrets: undefined,
      algorithm: 'ES256',
      catalogue: BUILT_IN_SCOPES,
      accessTokenTtl: 900_000,
      refreshIdleTtl: 30 * 86_400_000,
      sessionTtl: 90 * 86_400_000,
      maxSessions: 100,
      refreshGrace: 10_000,
      roles: {},
      keyRotation: 90 * 86_400_000,
      bcryptCost: 12,
      passwordMinLength: 15,
      registration: false,
      registrationScopes: [],
      passwordGrant: true,
      ownRoutes: new Set(),
      rateLimit: true,
      cookiesSecure: true,
      cookieNames: { access: 'access_token', refresh: 'refresh_token' },
      trustedOrigins: new Set(),
      corsOrigins: new Set(),
      securityHeaders: false,
      shedLoad: false,
      metrics: false,
      statusList: false,
      scheme: 'Bearer',
      accepts: ['token'],
      errors: 'problem',
      prefix: '',
      docs: false,
      forwardAuth: false,
      users: undefined,
      userIds: 'text',
      claims: undefined,
      onEvent: undefined,
      decorators: {
        authenticate: 'authenticate', authenticateOptional: 'authenticateOptional', requireScopes: 'requireScopes'
      },
      auditRetention: 90 * 86_400_000
    })
  }
})

t.test('what is given', async t => {
  const users = { authenticate: async () => null, find: async () => null }
  const claims = (): object => ({})
  const now = (): number => 5
  t.match(readOptions({
    secret: SECRET,
    audience: 'a',
    scopes: { admin: 'Administer' },
    cookies: { secure: false, accessName: 'shop' },
    users,
    claims,
    now,
    trustedOrigins: ['https://a.example'],
    prefix: '/a/b'
  }),
  {
    secrets: [SECRET],
    audience: ['a'],
    catalogue: { admin: 'Administer', 'users:read': 'Read all users' },
    cookiesSecure: false,
    cookieNames: { access: 'shop', refresh: 'refresh_token' },
    users,
    claims,
    now,
    prefix: '/a/b'
  })
  t.same(readOptions({ secret: [SECRET, `${SECRET}2`], audience: ['a', 'b'] }).secrets, [SECRET, `${SECRET}2`])
  t.match(readOptions({ secret: 'é'.repeat(16) }).secrets, ['é'.repeat(16)], 'bytes count')
  class Directory { async authenticate (): Promise<null> { return null } async find (): Promise<null> { return null } }
  t.ok(readOptions({ users: new Directory() }).users instanceof Directory, 'methods of a prototype')
  const durations: Array<[text: string, milliseconds: number]> = [
    ['1s', 1_000], ['900s', 900_000], ['15m', 900_000], ['1h', 3_600_000], ['30d', 2_592_000_000], ['1500ms', 1_500]
  ]
  for (const [text, milliseconds] of durations) {
    t.equal(
      readOptions({ accessTokenTtl: text }).accessTokenTtl, milliseconds, text
    )
  }
})

t.test('cookies: names that a browser takes as they are, and two of them', async t => {
  const members = {
    accessName: 'cookies.accessName (LATCHKEY_COOKIES_ACCESS_NAME)',
    refreshName: 'cookies.refreshName (LATCHKEY_COOKIES_REFRESH_NAME)'
  }
  for (const [member, shown] of Object.entries(members)) {
    for (const name of [
      '', 'a b', 'a;', 'a=', 'a,b', '"a"', 'a(', 'a/b', 'a@', '[a]', '{a}', 'é', 'a\t', 'a\n', 'a\0', 'x'.repeat(101),
      '__Host-a', '__host-a', '__Secure-a', '__Http-a', '__Host-', '__proto__', 5, null, true, []
    ]) {
      const message = messageOf(() => readOptions({ cookies: { [member]: name } }))
      t.match(message, `Latchkey: the option ${shown} is `, JSON.stringify(name))
      t.match(message, 'must be a cookie name without a prefix such as __Host-, for example shop_token')
    }
    for (const name of ["!#$%&'*+.^_`|~0-9A-Za-z-", 'Host-a', '_a', 'x'.repeat(100)]) {
      t.equal(messageOf(() => readOptions({ cookies: { [member]: name } })), undefined, name)
    }
  }
  for (const cookies of [{ accessName: 'a', refreshName: 'a' }, { accessName: 'refresh_token' }]) {
    t.match(
      messageOf(() => readOptions({ cookies })),
      /^Latchkey: the options cookies\.accessName .* and cookies\.refreshName .* are both \w+: give each cookie a name/
    )
  }
})

t.test('ownRoutes: a login of the app leaves no password grant', async t => {
  t.match(readOptions({ ownRoutes: ['refresh', 'logout'] }), { passwordGrant: true })
  t.match(readOptions({ ownRoutes: ['login', 'login'] }), { passwordGrant: false, ownRoutes: new Set(['login']) })
  t.match(readOptions({ ownRoutes: ['login'], passwordGrant: false }), { passwordGrant: false })
  t.match(
    messageOf(() => readOptions({ ownRoutes: ['login'], passwordGrant: true })),
    /^Latchkey: the option passwordGrant \(LATCHKEY_PASSWORD_GRANT\) must be false if the option ownRoutes contains login/
  )
})

t.test('decorators: names for some guards, or none', async t => {
  const names = {
    authenticate: 'authenticate', authenticateOptional: 'authenticateOptional', requireScopes: 'requireScopes'
  }
  const table: Array<[given: LatchkeyOptions['decorators'], read: object | undefined]> = [
    [false, undefined], [undefined, names], [{}, names], [{ authenticate: undefined }, names],
    [{ authenticate: '$authenticate_1' }, { ...names, authenticate: '$authenticate_1' }]
  ]
  for (const [decorators, read] of table) t.same(readOptions({ decorators }).decorators, read)
  for (const decorators of [{ authenticate: 'a', requireScopes: 'a' }, { authenticate: 'requireScopes' }]) {
    t.match(
      messageOf(() => readOptions({ decorators })),
      /^Latchkey: the option decorators gives two guards the name \w+: each needs a name of its own$/
    )
  }
})

t.test('the secret cannot be a public key or a token', async t => {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const base64 = publicKey.export({ type: 'spki', format: 'der' }).toString('base64')
  for (const secret of [
    publicKey.export({ type: 'spki', format: 'pem' }).toString(),
    base64,
    JSON.stringify(publicKey.export({ format: 'jwk' })),
    [SECRET, base64]
  ]) {
    t.throws(
      () => readOptions({ secret }),
      /^Latchkey: the option secret \(LATCHKEY_SECRET\) holds a public key, which others know: it must be random/
    )
  }
  t.throws(() => readOptions({ secret: 'eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl' }), /holds a token/)
  t.ok(readOptions({ secret: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString() }))
})

t.test('what is given is not changed, nor kept to be changed from outside', async t => {
  const given = { cookies: {}, scopes: { admin: 'Administer' }, issuer: undefined }
  readOptions(given)
  t.same(given, { cookies: {}, scopes: { admin: 'Administer' }, issuer: undefined })
  const frozen = Object.freeze({
    cookies: Object.freeze({}), scopes: Object.freeze({ admin: 'A' }), trustedOrigins: Object.freeze([])
  })
  t.doesNotThrow(() => readOptions(frozen))
  const { catalogue } = readOptions(given)
  given.scopes.admin = 'changed'
  t.equal(catalogue.admin, 'Administer')
  const one = readOptions({})
  ;(one.trustedOrigins as Set<string>).add('x')
  t.equal(readOptions({}).trustedOrigins.size, 0, 'defaults are not shared')
})

const DURATION = 'a duration such as 900s, 15m or 30d'
const DURATIONS = [
  '15', '', '0s', '15 m', '-1s', '1.5h', '1w', '1y', '15M', '15m ', 'm', '1h30m', '9999999999s', 900, null, true,
  ['15m'], {}
]
const ORIGINS = 'a list of origins such as https://app.example.com or capacitor://localhost'
const NO_ORIGINS = [
  ['app.example.com'], ['https://a/'], ['https://a/b'], ['*'], ['null'], [''], ['https://a b'], [5], ['capacitor://'],
  ['capacitor://*'], ['chrome-extension://*'], ['*://localhost'], ['tauri://localhost/'], ['Tauri://localhost'],
  ['chrome-extension://a/page.html'], ['app://a@b'], ['app://a?b'], ['app://a#b'], ['app:a'], ['://a'], ['1a://b'],
  ['ws://a'], ['wss://a'], ['ftp://a'], ['file://'], ['file://a'], ['https://a,https://b'], ['app://localhost\n']
]
const BOOLEAN = 'true or false'
const BOOLEANS = ['yes', 'true', '', 1, 0, null, [], {}]

t.test('an origin is compared as browsers send it: the one of a page by its parts, the one of an app as it is', async t => {
  const table: Array<[text: string, origin: string]> = [
    ['https://App.example.com:443', 'https://app.example.com'],
    ['http://[::1]:8080', 'http://[::1]:8080'],
    ['capacitor://localhost', 'capacitor://localhost'],
    ['ionic://localhost', 'ionic://localhost'],
    ['tauri://localhost', 'tauri://localhost'],
    ['app://.', 'app://.'],
    ['chrome-extension://abcdefghijklmnopabcdefghijklmnop', 'chrome-extension://abcdefghijklmnopabcdefghijklmnop'],
    [
      'moz-extension://0f4b1c1e-7a5e-4f3c-9a54-2f5b9c0d1e2f', 'moz-extension://0f4b1c1e-7a5e-4f3c-9a54-2f5b9c0d1e2f'
    ],
    // Safari writes the id of an extension in capitals.
    ['safari-web-extension://E7A1E0B4-5C3D', 'safari-web-extension://E7A1E0B4-5C3D']
  ]
  for (const [text, origin] of table) {
    const { trustedOrigins, corsOrigins } = readOptions({ trustedOrigins: [text], corsOrigins: [text] })
    t.strictSame([...trustedOrigins, ...corsOrigins], [origin, origin], text)
  }
})

t.test('wrong values: each message names the option, its variable and what is legal', async t => {
  const table: Array<[name: string, variable: string | undefined, expects: string, values: unknown[]]> = [
    ['issuer', 'LATCHKEY_ISSUER', 'an http or https URL without a query or fragment', ['', 'auth.example.com',
      'ftp://a', 'https://', 'http://[', 'https://a:99999', 'https://a?b', 'https://a#b', 'https://a b',
      'javascript:alert(1)', 5, null, true, [], {}]],
    [
      'audience', 'LATCHKEY_AUDIENCE', 'a name or a list of names',
      ['', [], [''], ['a', 'a'], ['a', 5], 5, null, {}, true]
    ],
    [
      'database', 'LATCHKEY_DATABASE',
      "the path of a SQLite database, ':memory:', or a URL such as postgres://user:password@host:5432/database",
      ['', 'postgres://', 'postgres://a b', 'mysql://localhost', 'file://a.db', 5, null, {}, []]
    ],
    [
      'revocationBound', 'LATCHKEY_REVOCATION_BOUND', 'a duration from 100ms to 1h',
      [...DURATIONS, '99ms', '61m', '2h', '1d']
    ],
    ['acceptLostCommits', 'LATCHKEY_ACCEPT_LOST_COMMITS', BOOLEAN, BOOLEANS],
    [
      'databaseTimeout', 'LATCHKEY_DATABASE_TIMEOUT', 'a duration from 100ms to 1m',
      [...DURATIONS, '99ms', '0s', '61s', '1h']
    ],
    [
      'secret', 'LATCHKEY_SECRET', 'at least 32 bytes of text, or a list of such texts',
      ['', 'short', 'x'.repeat(31), 'é'.repeat(15), [], [''], [SECRET, 'short'], [SECRET, 5], 5, null, {}, true]
    ],
    [
      'algorithm', 'LATCHKEY_ALGORITHM', 'ES256, RS256, PS256, EdDSA, HS256',
      ['none', 'es256', 'HS512', 'ES384', '', 5, null, ['ES256']]
    ],
    [
      'scopes',
      'LATCHKEY_SCOPES',
      'names in printable ASCII without spaces, double quotes or backslashes, each with a description',
      [
        { 'a b': 'x' }, { '"': 'x' }, { '\\': 'x' }, { '': 'x' }, { é: 'x' }, { admin: 5 }, { admin: null }, ['admin'],
        'admin', null, 5
      ]
    ],
    ['accessTokenTtl', 'LATCHKEY_ACCESS_TOKEN_TTL', DURATION, DURATIONS],
    ['refreshIdleTtl', 'LATCHKEY_REFRESH_IDLE_TTL', DURATION, DURATIONS],
    ['sessionTtl', 'LATCHKEY_SESSION_TTL', DURATION, DURATIONS],
    [
      'maxSessions', 'LATCHKEY_MAX_SESSIONS', 'a whole number from 1 to 500',
      [0, -1, 501, 1.5, '100', null, NaN, Infinity, true, [100]]
    ],
    ['refreshGrace', 'LATCHKEY_REFRESH_GRACE', DURATION, DURATIONS],
    [
      'roles',
      'LATCHKEY_ROLES',
      'at most 100 names of at most 64 characters, like those of scopes, each with a list of scopes',
      ['editor=users:read', ['editor'], null, 5, true]
    ],
    [
      'keyRotation', 'LATCHKEY_KEY_ROTATION', "a duration such as 12h or 90d, at least 1h, or 'never'",
      [...DURATIONS, '59m', '3599s', 'Never', 'never ', 'nevermore']
    ],
    [
      'bcryptCost', 'LATCHKEY_BCRYPT_COST', 'a whole number from 4 to 20',
      [3, 21, 10.5, '12', null, NaN, Infinity, true, [12]]
    ],
    [
      'passwordMinLength', 'LATCHKEY_PASSWORD_MIN_LENGTH', 'a whole number from 8 to 128',
      [7, 129, 8.5, '15', null, -15]
    ],
    ['registration', 'LATCHKEY_REGISTRATION', BOOLEAN, BOOLEANS],
    ['passwordGrant', 'LATCHKEY_PASSWORD_GRANT', BOOLEAN, BOOLEANS],
    ['rateLimit', 'LATCHKEY_RATE_LIMIT', BOOLEAN, BOOLEANS],
    ['cookies', undefined, 'an object with the members secure, accessName or refreshName', ['secure', null, 5, true, []]],
    ['trustedOrigins', 'LATCHKEY_TRUSTED_ORIGINS', ORIGINS, [...NO_ORIGINS, 'https://a', null, {}]],
    ['corsOrigins', 'LATCHKEY_CORS_ORIGINS', ORIGINS, [...NO_ORIGINS, ['https://*.a'], 'https://a', '*', null, {}, true]],
    [
      'accepts', undefined, "a list of 'token' (an access token) and 'key' (a personal access token)",
      [[], ['keys'], 'key', null, {}, [1], true]
    ],
    [
      'scheme', undefined, 'the name of an HTTP authentication scheme other than Basic, for example Token',
      [
        '', 'Basic', 'bAsIc', 'My Token', 'Token ', 'Token,', 'T\u00f6ken', 'T\r\n', '"T"', 'x'.repeat(101), 5, null,
        ['Token']
      ]
    ],
    ['errors', undefined, "'problem' or 'app'", ['json', 'App', '', true, null, () => {}]],
    ['userIds', undefined, "'text' or 'integer'", ['number', 'Integer', '', 5, null, true, [], {}]],
    ['securityHeaders', 'LATCHKEY_SECURITY_HEADERS', BOOLEAN, BOOLEANS],
    ['shedLoad', 'LATCHKEY_SHED_LOAD', BOOLEAN, BOOLEANS],
    ['metrics', 'LATCHKEY_METRICS', BOOLEAN, BOOLEANS],
    ['statusList', 'LATCHKEY_STATUS_LIST', BOOLEAN, BOOLEANS],
    ['forwardAuth', 'LATCHKEY_FORWARD_AUTH', BOOLEAN, BOOLEANS],
    [
      'ownRoutes', undefined, 'a list of login, refresh or logout',
      [
        ['token'], ['/login'], ['Login'], [''], [5], [null], [['login']], ['login', 'signup'], 'login', null, true,
        { login: false }
      ]
    ],
    [
      'prefix', 'LATCHKEY_PREFIX', 'a path such as /auth',
      ['auth', '/', '/auth/', '//auth', '/a b', '/:id', '/*', 'https://a', 5, null]
    ],
    ['docs', undefined, BOOLEAN, BOOLEANS],
    [
      'users',
      undefined,
      'an object with the functions authenticate and find',
      [
        {}, { authenticate () {} }, { find () {} }, { authenticate: 5, find () {} }, 'users', 5, null, true, [],
        () => {}
      ]
    ],
    ['auditRetention', 'LATCHKEY_AUDIT_RETENTION', DURATION, DURATIONS],
    ['onEvent', undefined, 'a function', [{}, 'onEvent', 5, null, true, []]],
    ['claims', undefined, 'a function', [{}, 'claims', 5, null, true, []]],
    [
      'decorators', undefined,
      'false, or an object with property names for authenticate, authenticateOptional or requireScopes',
      [
        true, null, 'authenticate', [], 5, { authenticate: '' }, { authenticate: 'a b' }, { authenticate: '1a' },
        { authenticate: false }, { authenticate: 'a-b' }, { authentcate: 'a' }, { requireScopes: 'é' }
      ]
    ],
    ['now', undefined, 'a function', [{}, 'now', 5, null, true, new Date(0)]]
  ]
  t.same(table.map(([name]) => name).sort(), Object.keys(Options.properties).sort(), 'every option is in this table')
  for (const [name, variable, expects, values] of table) {
    for (const value of values) {
      const label = `${name}: ${typeof value === 'function' ? 'a function' : JSON.stringify(value)}`
      const message = messageOf(() => readOptions({ [name]: value }))
      t.match(
        message, `Latchkey: the option ${name}${variable === undefined ? '' : ` (${variable})`} `, `${label} is named`
      )
      t.match(message, `must be ${expects}`, `${label} gets the legal values`)
      t.notMatch(message, /\n|undefined|\[object/, `${label}: one readable line`)
    }
  }
  for (const value of BOOLEANS) {
    t.match(
      messageOf(() => readOptions({ cookies: { secure: value } })),
      'Latchkey: the option cookies.secure (LATCHKEY_COOKIES_SECURE) is ', JSON.stringify(value)
    )
  }
})

t.test('values that no JSON can show get the same sentence', async t => {
  const circular: Record<string, unknown> = {}
  circular.self = circular
  for (const value of [5n, circular, Symbol('s'), () => 'x', [5n]]) {
    t.match(
      messageOf(() => readOptions({ issuer: value })),
      /^Latchkey: the option issuer \(LATCHKEY_ISSUER\) is .*: it must be an http or https URL/, String(typeof value)
    )
  }
})

t.test('a lifetime under a second is refused: tokens count in seconds', async t => {
  for (const value of ['1ms', '999ms']) {
    t.match(
      messageOf(() => readOptions({ accessTokenTtl: value })),
      /^Latchkey: the option accessTokenTtl \(LATCHKEY_ACCESS_TOKEN_TTL\) must be at least 1s/
    )
  }
  t.equal(readOptions({ refreshGrace: '1ms' }).refreshGrace, 1)
})

t.test('no duration that is accepted leads past the last date there is', async t => {
  for (const name of ['accessTokenTtl', 'refreshIdleTtl', 'sessionTtl', 'refreshGrace'] as const) {
    const settings = (() => {
      try {
        return readOptions({ [name]: '999999999d' })
      } catch {
        return undefined // Refused: as good.
      }
    })()
    t.doesNotThrow(
      () => settings === undefined || new Date(Date.UTC(2026, 1, 1) + settings[name]).toISOString(),
      `${name}: GET /sessions shows it as a date`
    )
  }
})

t.test('a secret is never shown, in whatever form it is wrong', async t => {
  const secret = 'hunter2-hunter2'
  for (const given of [
    { secret }, { secret: [SECRET, secret] }, { secret: [secret, 5] }, { secret: { value: secret } },
    { secrets: secret }, { secret: SECRET, unknown: secret }, { issuer: 5, secret }
  ]) {
    const message = messageOf(() => readOptions(given))
    t.ok(message, 'is refused')
    t.notMatch(message, secret)
    t.notMatch(message, SECRET)
  }
  t.match(messageOf(() => readOptions({ secret })), 'has 15 bytes: it must be at least 32 bytes')
})

t.test('a password in the URL of a database is not shown either', async t => {
  const message = messageOf(() => readOptions({ database: 'mysql://latchkey:hunter2@db.example.com/auth' }))
  t.match(message, 'LATCHKEY_DATABASE')
  t.notMatch(message, 'hunter2', 'it would stand in the log of every failed start')
})

t.test('with PostgreSQL there is no file for a secret to be made in: it must be given', async t => {
  for (const database of ['postgres://latchkey:hunter2@db.example.com/auth', 'POSTGRESQL://db/auth?sslmode=require']) {
    const message = messageOf(() => readOptions({ database }))
    t.match(
      message, 'with PostgreSQL, the option secret (LATCHKEY_SECRET) is required and must be the same on every node'
    )
    t.notMatch(message, 'hunter2')
    t.equal(readOptions({ database, secret: SECRET }).database, database)
  }
})

t.test('a long value is cut', async t => {
  t.ok((messageOf(() => readOptions({ issuer: 'x'.repeat(10_000) }))?.length ?? 0) < 400)
})

t.test('unknown options are named, with those that there are', async t => {
  const names = Object.keys(Options.properties).join(', ')
  for (const name of ['Issuer', 'secrets', 'ttl', 'toString', 'constructor', 'env', '']) {
    t.equal(
      messageOf(() => readOptions({ [name]: 1 })), `Latchkey: there is no option ${name}; the options are ${names}`
    )
  }
  t.equal(
    messageOf(() => readOptions(JSON.parse('{"__proto__": 1}'))),
    `Latchkey: there is no option __proto__; the options are ${names}`
  )
  t.equal(
    messageOf(() => readOptions({ cookies: { Secure: true } })),
    'Latchkey: there is no option cookies.Secure; the options are secure, accessName, refreshName'
  )
  for (const given of [undefined, null, 5, 'x', true]) {
    t.equal(
      messageOf(() => readOptions(given)), 'Latchkey: the options must be an object'
    )
  }
})

t.test('the environment: every variable', async t => {
  const env = {
    LATCHKEY_ISSUER: 'https://auth.example.com',
    LATCHKEY_AUDIENCE: 'a, b,,',
    LATCHKEY_DATABASE: './a.db',
    LATCHKEY_SECRET: `${SECRET},${SECRET}2`,
    LATCHKEY_ALGORITHM: 'EdDSA',
    LATCHKEY_SCOPES: 'admin, items:read ,',
    LATCHKEY_ACCESS_TOKEN_TTL: '900s',
    LATCHKEY_REFRESH_IDLE_TTL: '1d',
    LATCHKEY_SESSION_TTL: '2d',
    LATCHKEY_MAX_SESSIONS: '7',
    LATCHKEY_REFRESH_GRACE: '5s',
    LATCHKEY_BCRYPT_COST: '10',
    LATCHKEY_PASSWORD_MIN_LENGTH: '8',
    LATCHKEY_REGISTRATION: 'true',
    LATCHKEY_REGISTRATION_SCOPES: 'admin',
    LATCHKEY_PASSWORD_GRANT: 'false',
    LATCHKEY_RATE_LIMIT: 'false',
    LATCHKEY_COOKIES_SECURE: 'false',
    LATCHKEY_COOKIES_ACCESS_NAME: 'shop_access',
    LATCHKEY_COOKIES_REFRESH_NAME: 'shop_refresh',
    LATCHKEY_TRUSTED_ORIGINS: 'https://a.example,https://b.example',
    LATCHKEY_KEY_ROTATION: 'never',
    LATCHKEY_CORS_ORIGINS: 'https://c.example, https://d.example:8443',
    LATCHKEY_SECURITY_HEADERS: 'true',
    LATCHKEY_SHED_LOAD: 'false',
    LATCHKEY_METRICS: 'true',
    LATCHKEY_STATUS_LIST: 'true',
    LATCHKEY_FORWARD_AUTH: 'true',
    LATCHKEY_PREFIX: '/auth',
    LATCHKEY_REVOCATION_BOUND: '500ms',
    LATCHKEY_DATABASE_TIMEOUT: '2s',
    LATCHKEY_ACCEPT_LOST_COMMITS: 'true',
    LATCHKEY_ROLES: 'editor=admin items:read, viewer = items:read,none=',
    LATCHKEY_AUDIT_RETENTION: '30d',
    HOST: '0.0.0.0',
    PORT: '0',
    LATCHKEY_TRUST_PROXY: '10.0.0.0/8, ::1',
    LATCHKEY_LOG_LEVEL: 'debug',
    LATCHKEY_LOG_FORMAT: 'json',
    LATCHKEY_CONFIG: './options.js'
  }
  const { options, service, unread } = optionsFromEnvironment({
    ...env, PATH: '/bin', LATCHKEY: 'x', latchkey_secret: 'x'
  })
  t.same(options, {
    issuer: 'https://auth.example.com',
    audience: ['a', 'b'],
    database: './a.db',
    revocationBound: '500ms',
    databaseTimeout: '2s',
    acceptLostCommits: true,
    secret: [SECRET, `${SECRET}2`],
    algorithm: 'EdDSA',
    scopes: { admin: 'admin', 'items:read': 'items:read' },
    accessTokenTtl: '900s',
    refreshIdleTtl: '1d',
    sessionTtl: '2d',
    maxSessions: 7,
    refreshGrace: '5s',
    roles: { editor: ['admin', 'items:read'], viewer: ['items:read'], none: [] },
    bcryptCost: 10,
    passwordMinLength: 8,
    registration: { scopes: ['admin'] },
    passwordGrant: false,
    rateLimit: false,
    cookies: { secure: false, accessName: 'shop_access', refreshName: 'shop_refresh' },
    trustedOrigins: ['https://a.example', 'https://b.example'],
    keyRotation: 'never',
    corsOrigins: ['https://c.example', 'https://d.example:8443'],
    securityHeaders: true,
    shedLoad: false,
    metrics: true,
    statusList: true,
    forwardAuth: true,
    prefix: '/auth',
    auditRetention: '30d'
  })
  t.same(service, { host: '0.0.0.0', port: 0, trustProxy: ['10.0.0.0/8', '::1'], logLevel: 'debug', logFormat: 'json', config: './options.js' })
  t.same(unread, [])
  t.match(readOptions(options), { issuer: 'https://auth.example.com', cookiesSecure: false, rateLimit: false })
  t.match(readServiceOptions(service), service)

  const names: string[] = []
  const collect = (schema: OptionSchema): void => {
    for (const property of Object.values(schema.properties ?? {})) {
      if (property.env !== undefined) names.push(property.env)
      collect(property)
      for (const form of property.anyOf ?? []) collect(form)
    }
  }
  collect(Options as OptionSchema)
  collect(ServiceOptions as OptionSchema)
  t.same(
    names.sort(),
    Object.keys(env).sort(),
    'exactly these: the names that the issue fixes, and LATCHKEY_TRUSTED_ORIGINS, LATCHKEY_TRUST_PROXY, LATCHKEY_LOG_LEVEL'
  )

  const empty = optionsFromEnvironment(Object.fromEntries(names.map(name => [name, ''])))
  t.same(empty, { options: { cookies: {} }, service: {}, unread: [] }, 'an empty string is as absent')
  t.same(optionsFromEnvironment({}), empty)
})

t.test('the environment: booleans and whole numbers are strict, and their variable is named', async t => {
  const table: Array<[variable: string, values: string[], expects: string]> = [
    ...[
      'LATCHKEY_REGISTRATION', 'LATCHKEY_RATE_LIMIT', 'LATCHKEY_COOKIES_SECURE', 'LATCHKEY_SECURITY_HEADERS',
      'LATCHKEY_SHED_LOAD', 'LATCHKEY_METRICS', 'LATCHKEY_STATUS_LIST',
      'LATCHKEY_FORWARD_AUTH', 'LATCHKEY_ACCEPT_LOST_COMMITS'
    ].map(
      variable => [
        variable, ['yes', 'no', '1', '0', 'TRUE', 'on', ' true', 'true ', 'null'], BOOLEAN
      ] as [string, string[], string]
    ),
    [
      'LATCHKEY_BCRYPT_COST', ['ten', '1e1', '0x10', '10.0', '-10', ' 10', '9999999999', '1,2'],
      'a whole number from 4 to 20'
    ],
    ['LATCHKEY_PASSWORD_MIN_LENGTH', ['x', '15 characters'], 'a whole number from 8 to 128'],
    ['PORT', ['http', '3000/tcp', '-1', '+3000', '3000.5'], 'a whole number from 0 to 65535']
  ]
  for (const [variable, values, expects] of table) {
    for (const value of values) {
      t.equal(
        messageOf(() => optionsFromEnvironment({ [variable]: value })),
      `Latchkey: ${variable} is '${value}': it must be ${expects}`
      )
    }
  }
})

t.test('the environment: values out of bounds name option and variable', async t => {
  const table: Array<[env: Record<string, string>, message: RegExp]> = [
    [
      { LATCHKEY_BCRYPT_COST: '99' },
      /^Latchkey: the option bcryptCost \(LATCHKEY_BCRYPT_COST\) is 99: it must be a whole number from 4 to 20$/
    ],
    [{ LATCHKEY_AUDIENCE: ' , ' }, /^Latchkey: the option audience \(LATCHKEY_AUDIENCE\) is \[\]: it must be/],
    [{ LATCHKEY_SECRET: 'hunter2' }, /^Latchkey: the option secret \(LATCHKEY_SECRET\) has 7 bytes/],
    [{ LATCHKEY_SECRET: ',' }, /^Latchkey: the option secret \(LATCHKEY_SECRET\) is invalid: it must be/],
    [
      { LATCHKEY_SCOPES: 'admin,two words' },
      /^Latchkey: the option scopes \(LATCHKEY_SCOPES\) is .*: it must be names in printable ASCII/
    ],
    [
      { LATCHKEY_PREFIX: 'auth' },
      /^Latchkey: the option prefix \(LATCHKEY_PREFIX\) is "auth": it must be a path such as \/auth$/
    ]
  ]
  for (const [env, message] of table) {
    t.match(
      messageOf(() => readOptions(optionsFromEnvironment(env).options)), message
    )
  }
  t.match(
    messageOf(() => readServiceOptions(optionsFromEnvironment({ PORT: '65536' }).service)),
    /^Latchkey: the option port \(PORT\) is 65536: it must be a whole number from 0 to 65535$/
  )
  t.match(
    messageOf(() => readServiceOptions(optionsFromEnvironment({ LATCHKEY_LOG_LEVEL: 'loud' }).service)),
    /^Latchkey: the option logLevel \(LATCHKEY_LOG_LEVEL\) is "loud": it must be fatal, error/
  )
  for (const list of ['1', '0', 'true', 'false', '*', 'proxy.example.com', '10.0.0.0/33', '10.0.0/8', '0.0.0.0/0',
    '::/0', '0.0.0.0/1,128.0.0.0/1', '::/1', '10.0.0.1,1']) {
    const { service } = optionsFromEnvironment({ LATCHKEY_TRUST_PROXY: list })
    t.equal(
      messageOf(() => readServiceOptions(service)),
      'Latchkey: LATCHKEY_TRUST_PROXY must be a list of addresses or CIDR ranges, for example 10.0.0.0/8.', list
    )
  }
  t.same(readServiceOptions({}), { host: '127.0.0.1', port: 3000, trustProxy: [], logLevel: 'info' })
  t.same(
    readServiceOptions({ host: undefined, port: undefined }),
    { host: '127.0.0.1', port: 3000, trustProxy: [], logLevel: 'info' }
  )
  t.match(
    messageOf(() => readServiceOptions({ Port: 1 } as object)),
    'there is no option Port; the options are host, port, trustProxy, logLevel, logFormat, config'
  )
})

t.test('the environment: names that look like ours and are not read are told', async t => {
  const { unread } = optionsFromEnvironment({
    LATCHKEY_SECRETS: 'x',
    LATCHKEY_ACCES_TOKEN_TTL: '',
    LATCHKEY_PORT: '1',
    LATCHKEY_SECRET: SECRET,
    HOST: 'a',
    OTHER: 'b'
  })
  t.same(unread.sort(), ['LATCHKEY_ACCES_TOKEN_TTL', 'LATCHKEY_PORT', 'LATCHKEY_SECRETS'])
})

t.test('the environment: a scope of any legal name goes into the catalogue, and into no prototype', async t => {
  const { catalogue } = readOptions(optionsFromEnvironment({ LATCHKEY_SCOPES: '__proto__,constructor,admin' }).options)
  for (const name of ['__proto__', 'constructor', 'admin']) t.ok(Object.hasOwn(catalogue, name), name)
  t.equal(Object.getPrototypeOf(catalogue), Object.prototype)
})

t.test('every option has a description and its legal values in words: docs/reference is made of them', async t => {
  for (const schema of [Options, ServiceOptions] as OptionSchema[]) {
    for (const [name, property] of Object.entries(schema.properties ?? {})) {
      t.ok(property.expects, `${name}: expects`)
      if (property.properties === undefined) t.match(property.description, /[.]$/, `${name}: description`)
    }
  }
})

t.test('status lists that nobody could verify are refused', async t => {
  t.equal(messageOf(() => readOptions({ statusList: true, algorithm: 'HS256' })),
    'Latchkey: the option statusList (LATCHKEY_STATUS_LIST) must be false if the option algorithm (LATCHKEY_ALGORITHM) is HS256, because only Latchkey could verify the lists')
  t.equal(readOptions({ statusList: true, algorithm: 'EdDSA' }).statusList, true)
  t.equal(readOptions({ statusList: false, algorithm: 'HS256' }).statusList, false)
})

t.test('roles: each error names the role and what is legal', async t => {
  const scopes = { 'items:read': 'Read items', 'items:write': 'Change items' }
  t.same(
    readOptions({ scopes, roles: { editor: ['items:write', 'items:read', 'items:read'], nobody: [] } }).roles,
    { editor: ['items:read', 'items:write'], nobody: [] }
  )
  const option = /^Latchkey: the option roles \(LATCHKEY_ROLES\) /
  const name = /must have 1 to 64 characters of printable ASCII without spaces, double quotes or backslashes$/
  const list = /is wrong: the role editor must be a list of at most 256 scopes$/
  const many = Array.from({ length: 257 }, () => 'items:read')
  const table: Array<[roles: object, says: RegExp]> = [
    [{ '': [] }, name],
    [{ 'a b': [] }, name],
    [{ é: [] }, name],
    [{ ['x'.repeat(65)]: [] }, name],
    [{ editor: 'items:read' }, list],
    [{ editor: null }, list],
    [{ editor: [5] }, list],
    [{ editor: many }, list],
    [{ viewer: [], editor: ['toString'] }, /the role editor a wrong scope\. Unknown scope 'toString': the catalogue has/],
    [Object.fromEntries(Array.from({ length: 101 }, (_, index) => [`r${index}`, []])), /has 101 roles: .* at most 100$/]
  ]
  for (const [roles, says] of table) {
    const message = messageOf(() => readOptions({ scopes, roles }))
    t.match(message, option)
    t.match(message, says)
  }
  for (const [text, says] of [
    ['editor', /contains "editor": it must list roles with their scopes, for example editor=items:read items:write,/],
    ['a=items:read,a=', /contains the role a twice: name it once$/]
  ] as const) {
    const message = messageOf(() => optionsFromEnvironment({ LATCHKEY_ROLES: text }))
    t.match(message, option)
    t.match(message, says)
  }
})

t.test('registration: scopes of the app, and no built-in or unknown ones', async t => {
  const scopes = { 'items:read': 'Read items' }
  t.match(
    readOptions({ scopes, registration: { scopes: ['items:read'] } }),
    { registration: true, registrationScopes: ['items:read'] }
  )
  t.match(readOptions({ registration: { scopes: [] } }), { registration: true, registrationScopes: [] })
  for (const name of Object.keys(BUILT_IN_SCOPES)) {
    t.match(
      messageOf(() => readOptions({ scopes, registration: { scopes: ['items:read', name] } })),
      `registration.scopes (LATCHKEY_REGISTRATION_SCOPES) contains the built-in scope ${name}, which anyone`
    )
  }
  for (const name of ['items:write', '__proto__', 'toString', '']) {
    t.match(
      messageOf(() => readOptions({ scopes, registration: { scopes: [name] } })),
      `registration.scopes (LATCHKEY_REGISTRATION_SCOPES) is wrong: Unknown scope '${name}'`
    )
  }
  for (const registration of [{ scopes: 'items:read' }, { scopes: [5] }, { scopes: ['a', 'a'] }, { scope: [] }]) {
    t.match(
      messageOf(() => readOptions({ scopes, registration })), /^Latchkey: the option registration .*true or false, or an/
    )
  }

  const given = (env: object) => optionsFromEnvironment({ LATCHKEY_REGISTRATION_SCOPES: 'a, b', ...env }).options
  t.same(given({ LATCHKEY_REGISTRATION: 'true' }).registration, { scopes: ['a', 'b'] })
  t.equal(given({ LATCHKEY_REGISTRATION: 'false' }).registration, false)
  t.equal(
    messageOf(() => given({})),
    'Latchkey: LATCHKEY_REGISTRATION_SCOPES is set without LATCHKEY_REGISTRATION: set LATCHKEY_REGISTRATION to true ' +
      'or false'
  )
})
