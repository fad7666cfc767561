import { execFileSync, spawnSync } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import t from 'tap'
import latchkey from '../app.js'
import type { ImportRow } from '../lib/users/transfer/import.js'
import { TEST_OPTIONS } from './helper.js'
import { FOREIGN, PHRASE, SPELLED } from './lib/passwords/foreign-hashes.js'
import { createHost, databaseFile, SECRET } from './routes/support.js'

// Runs each command of docs/import-recipes.md on a small file in the format of that system.

function hashOf (source: RegExp): string {
  return [...FOREIGN, ...SPELLED].find(vector => source.test(vector.source))?.hash ?? ''
}

const BCRYPT = hashOf(/Spring Security$/).replace('{bcrypt}', '')
const lines = (...values: object[]): string => values.map(value => `${JSON.stringify(value)}\n`).join('')
const [, , , , argon2Salt = '', argon2Digest = ''] = hashOf(/Argon2id$/).split('$')
const [, , , passlibSalt = '', passlibDigest = ''] = hashOf(/pbkdf2_sha512/).split('$')
const [, , , firebaseSalt = '', firebaseDigest = ''] = hashOf(/firebase/).split('$')

const credential = (secret: object, data: object): object => ({
  type: 'password', secretData: JSON.stringify(secret), credentialData: JSON.stringify(data)
})

/** The file of each system, and its users: id, username and password. */
const SYSTEMS: Record<string, { file: string, content: string, users: Array<[string, string, string]> }> = {
  fastapi: {
    file: 'fastapi.ndjson',
    content: lines(
      { id: 7, email: 'a@example.com', hashed_password: hashOf(/Argon2id$/), is_active: true },
      { id: '1b4e28ba-2fa1-11d2-883f-0016d3cca427', email: 'b@example.com', hashed_password: BCRYPT, is_active: true }
    ),
    users: [['7', 'a@example.com', PHRASE], ['1b4e28ba-2fa1-11d2-883f-0016d3cca427', 'b@example.com', PHRASE]]
  },
  django: {
    file: 'django.json',
    content: JSON.stringify([/PBKDF2PasswordHasher/, /ScryptPassword/, /Argon2Password/, /BCryptSHA256/].map(
      (source, index) => ({
        model: 'auth.user',
        pk: index + 1,
        fields: {
          username: `user${index}`, password: hashOf(source), is_active: true, date_joined: '2024-05-01T12:00:00.123Z'
        }
      })
    )),
    users: [1, 2, 3, 4].map(id => [String(id), `user${id - 1}`, PHRASE])
  },
  auth0: {
    file: 'auth0.ndjson',
    content: lines({
      _id: { $oid: '60425dc43519d90068f82973' },
      email_verified: false,
      email: 'a@example.com',
      passwordHash: BCRYPT,
      password_set_date: { $date: '2021-03-05T16:34:12.502Z' },
      tenant: 'dev',
      connection: 'Username-Password-Authentication',
      _tmp_is_unique: true
    }),
    users: [['auth0|60425dc43519d90068f82973', 'a@example.com', PHRASE]]
  },
  firebase: {
    file: 'firebase.json',
    content: JSON.stringify({
      users: [
        {
          localId: 'rVHeFHvzkyYBcUdBAvYqU8OrXAb2',
          email: 'a@example.com',
          emailVerified: false,
          passwordHash: firebaseDigest,
          salt: firebaseSalt,
          createdAt: '1712000000000',
          providerUserInfo: []
        },
        { localId: 'google', email: 'g@example.com', providerUserInfo: [{ providerId: 'google.com' }] }
      ]
    }),
    users: [['rVHeFHvzkyYBcUdBAvYqU8OrXAb2', 'a@example.com', 'user1password']]
  },
  keycloak: {
    file: 'keycloak.json',
    content: JSON.stringify({
      realm: 'my-realm',
      users: [
        {
          id: 'c0ffee00-2fa1-41d2-883f-0016d3cca427',
          username: 'alice',
          enabled: true,
          credentials: [credential(
            { value: `${passlibDigest.replaceAll('.', '+')}==`, salt: `${passlibSalt}==`, additionalParameters: {} },
            { hashIterations: 1000, algorithm: 'pbkdf2-sha512', additionalParameters: {} }
          )]
        },
        {
          id: 'c0ffee01-2fa1-41d2-883f-0016d3cca427',
          username: 'bob',
          enabled: true,
          credentials: [credential(
            { value: `${argon2Digest}=`, salt: `${argon2Salt}==`, additionalParameters: {} },
            {
              hashIterations: 2,
              algorithm: 'argon2',
              additionalParameters: {
                hashLength: ['32'], memory: ['1024'], type: ['id'], version: ['1.3'], parallelism: ['4']
              }
            }
          )]
        },
        { id: 'c0ffee02-2fa1-41d2-883f-0016d3cca427', username: 'without-password', enabled: true, credentials: [] }
      ]
    }),
    users: [
      ['c0ffee00-2fa1-41d2-883f-0016d3cca427', 'alice', PHRASE], ['c0ffee01-2fa1-41d2-883f-0016d3cca427', 'bob', PHRASE]
    ]
  },
  supabase: {
    file: 'supabase.ndjson',
    content: lines({
      id: 'd0d8c19c-3b3e-4f5a-9d57-8b8c3e1f2a3b', email: 'a@example.com', encrypted_password: BCRYPT.replace('2b', '2a')
    }),
    users: [['d0d8c19c-3b3e-4f5a-9d57-8b8c3e1f2a3b', 'a@example.com', PHRASE]]
  },
  'better-auth': {
    file: 'better-auth.ndjson',
    content: lines({ id: 'Qb3xk0eM9Zt2yTRWcVa1sLdJ7uHf5oGp', email: 'a@example.com', password: hashOf(/better-auth/) }),
    users: [['Qb3xk0eM9Zt2yTRWcVa1sLdJ7uHf5oGp', 'a@example.com', PHRASE]]
  }
}

const SETTINGS = {
  SIGNER_KEY: 'jxspr8Ki0RYycVU8zykbdLGjFQ3McFUH0uiiTvC8pVMXAn210wjLNmdZJzxUECKbm0QsEmYUSDzZvpjeJ9WmXA==',
  SALT_SEPARATOR: 'Bw==',
  ROUNDS: '8',
  MEM_COST: '14'
}

const page = await readFile(resolve('docs/import-recipes.md'), 'utf8')
const recipes = [...page.matchAll(/<!-- recipe: (\S+) -->\n```sh\n(.*?)```/gs)]
const hasJq = spawnSync('jq', ['--version']).status === 0

t.test('each recipe is tested', async t => {
  t.same(recipes.map(([, name]) => name), Object.keys(SYSTEMS))
})

for (const [, name = '', command = ''] of recipes) {
  t.test(`the recipe for ${name}`, { skip: hasJq ? false : 'no jq' }, async t => {
    const { file, content, users } = SYSTEMS[name] ?? { file: '', content: '', users: [] }
    const folder = t.testdir({ [file]: content })
    execFileSync('sh', ['-euc', command], { cwd: folder, env: { ...process.env, ...SETTINGS } })
    const rows = (await readFile(join(folder, 'users.ndjson'), 'utf8')).trim().split('\n')
      .map((text, index): ImportRow => ({ line: index + 1, value: JSON.parse(text) }))
    const app = createHost(t)
    await app.register(latchkey, { ...TEST_OPTIONS, database: databaseFile(t), secret: SECRET })
    await app.ready()
    const { users: accounts } = app.latchkey
    t.same(await accounts.startImport()(rows), users.map((_user, index) => ({
      line: index + 1, status: 'added', reason: undefined
    })))
    for (const [id, username, password] of users) {
      const logIn = async (typed: string) => await app.inject({
        method: 'POST', url: '/token', payload: { grant_type: 'password', username, password: typed }
      })
      t.equal((await logIn('wrong')).statusCode, 400)
      const { access_token: token } = (await logIn(password)).json()
      const me = await app.inject({ url: '/users/me', headers: { authorization: `Bearer ${token}` } })
      t.match(me.json(), { id, username })
      t.equal((await logIn(password)).statusCode, 200, 'also with the hash that replaced the imported one')
    }
    for await (const page of accounts.exportAll()) {
      for (const { password_hash: hash } of page) t.match(hash, /^\$2[ab]\$/, 'bcrypt after the login')
    }
  })
}
