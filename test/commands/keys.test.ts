import { generateKeyPairSync } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { bearer, build, logIn } from '../helper.js'
import { signWithSecret } from '../lib/support.js'
import { run } from './support.js'
import type { Outcome } from './support.js'

const OLD = 'the first secret of the service which has 32 bytes'
const NEW = 'the second secret of the service which has 32 bytes'
const LEGACY = '09d25e094faa6ca2556c818166b7a9563b93f7099f6f0f4caa6cf63b88e8d3e7'

t.jobs = 2

/** The verbs on a database in a folder, and a service that runs on it in this process, by the real clock. */
async function arrange (t: Parameters<typeof build>[0], secret: string | undefined = OLD) {
  const directory = t.testdir({})
  const file = join(directory, 'auth.db')
  const { app } = await build(t, { database: file, secret, now: Date.now })
  return {
    app,
    file,
    directory,
    keys: (
      args: string[], { input, secret = OLD }: { input?: string | Buffer, secret?: string } = {}
    ): Promise<Outcome> => run(
      directory, args,
      { input, env: { LATCHKEY_DATABASE: file, LATCHKEY_SECRET: secret, LATCHKEY_SCOPES: 'admin,items:read' } }
    ),
    call: async (token: string): Promise<number> => (await app.inject({
      url: '/protected-route', headers: bearer(token)
    })).statusCode
  }
}

t.test('list, rotate and revoke while the service runs', async t => {
  const { app, keys, call } = await arrange(t)
  const tokens = await logIn(app)
  const [first] = await app.latchkey.keys.list()
  t.match(
    await keys(['keys', 'rotate']),
    { code: 0, stdout: /^Created the key [\w-]+, which signs from 20[\dT:.-]+Z\.\n$/, stderr: '' }
  )
  t.match(
    await keys(['keys', 'rotate']),
    {
      code: 0, stdout: /is already pending and signs from .*\. Nothing was changed\. To let it sign at once, use --now/
    }
  )
  t.match(
    await keys(['keys', 'list']),
    {
      code: 0,
      stdout: /KID +ALGORITHM +STATE +CREATED +USE\n[\s\S]*active .*signs until 20.*Z\n[\s\S]*pending .*signs from 20/
    }
  )
  t.match(await keys(['keys', 'rotate', '--now']), { code: 0, stdout: /^The pending key [\w-]+ now signs\.\n$/ })
  t.equal(await call(tokens.access_token), 200)

  t.match(
    await keys(['keys', 'revoke', 'nothing', '--yes']),
    { code: 3, stdout: '', stderr: /There is no key 'nothing' in .*: 'latchkey keys list' lists all keys/ }
  )
  const revoked = await keys(['keys', 'revoke', String(first?.kid), '--yes'])
  t.match(
    revoked, { code: 0, stdout: `Revoked the key ${first?.kid}. All tokens that it signed are invalid.\n`, stderr: '' }
  )
  t.equal(await call(tokens.access_token), 401)
  const signer = (JSON.parse(
    (await keys(['keys', 'list', '--json'])).stdout
  ) as Array<{ kid: string, signs: boolean }>).find(({ signs }) => signs)
  t.match(signer, { algorithm: 'ES256', state: 'active', retires_at: null, revoked_at: null })
  t.match(
    await keys(['keys', 'revoke', String(signer?.kid), '--yes']),
    { code: 0, stdout: /are invalid\. The key [\w-]+ signs from now on\.\n$/ }
  )
  t.equal(await call((await logIn(app)).access_token), 200)
  const trail = await app.latchkey.audit.list({ type: 'key_revoked' })
  t.strictSame(trail.map(({ actor }) => actor.kind), ['command', 'command'])
})

t.test('import: to sign with, and the secret of an older system, from a file or standard input', async t => {
  const { app, directory, keys, call } = await arrange(t)
  const pem = join(directory, 'signing.pem')
  await writeFile(
    pem, generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ type: 'pkcs8', format: 'pem' })
  )
  t.match(
    await keys(['keys', 'import', pem, '--kid', 'mine']),
    { code: 0, stdout: /^Imported the ES256 key mine, which signs from 20.*Z\.\n$/, stderr: '' }
  )
  t.match(
    await keys(['keys', 'import', join(directory, 'nothing')]),
    { code: 1, stderr: /cannot be read .*use the path of the key, or - for standard input/ }
  )
  t.match(
    JSON.parse((await keys(['keys', 'import', '-', '--json'], { input: 'garbage' })).stderr),
    { error: 'invalid_key', message: /neither a PEM file nor a JWK/ }
  )

  const imported = await keys(
    [
      'keys',
      'import',
      '--verify-only',
      '--algorithm',
      'HS256',
      '--scope',
      'items:read',
      '--until',
      '1d',
      '--json',
      '-'
    ],
    { input: `${LEGACY}\n` }
  )
  t.equal(imported.code, 0)
  t.match(
    JSON.parse(imported.stdout), { algorithm: 'HS256', state: 'verify-only', signs: false, scopes: ['items:read'] }
  )
  t.notMatch(imported.stdout, LEGACY)
  const now = Math.floor(Date.now() / 1000)
  const lifetime = { iat: now, exp: now + 1_800 }
  const token = signWithSecret(LEGACY, { sub: 'johndoe', scopes: ['items:read', 'admin'], ...lifetime })
  const response = await app.inject({ url: '/protected-route', headers: bearer(token) })
  t.strictSame([response.statusCode, response.json()], [200, { id: 'johndoe', scopes: ['items:read'] }])
  t.equal(await call(signWithSecret(`${LEGACY}x`, { sub: 'johndoe', ...lifetime })), 401)
})

t.test('a change of the secret: old; new and old; reseal; new only', async t => {
  const { app, file, keys } = await arrange(t)
  const tokens = await logIn(app)
  const both = `${NEW},${OLD}`
  t.match(await keys(['keys', 'rotate'], { secret: NEW }), {
    code: 1,
    stderr:
      /The option secret \(LATCHKEY_SECRET, or the .secret file beside the database\) does not open the signing key/
  })
  t.match(
    await keys(['keys', 'list'], { secret: NEW }),
    { code: 0, stdout: /unusable .* cannot be opened with this secret/, stderr: '' },
    'so that it can be revoked if it is damaged'
  )
  t.equal((await app.latchkey.keys.list()).length, 1, 'nothing was made')
  t.match(
    await keys(['secret', 'reseal'], { secret: both }),
    { code: 0, stdout: 'Sealed 1 key with the first secret.\n', stderr: '' }
  )
  t.match(
    await keys(['secret', 'reseal'], { secret: both }),
    { code: 0, stdout: 'Sealed 0 keys with the first secret. 1 already was.\n' }
  )
  t.equal(
    (await app.inject({ url: '/protected-route', headers: bearer(tokens.access_token) })).statusCode, 200,
    'the service with the old one goes on'
  )
  await app.close()

  const refresh = async (secret: string[], token: string): Promise<{ status: number, token: string }> => {
    const { app } = await build(t, { database: file, secret, now: Date.now })
    const response = await app.inject({ method: 'POST', url: '/refresh', payload: { refresh_token: token } })
    t.equal(
      (await app.inject({ url: '/protected-route', headers: bearer(tokens.access_token) })).statusCode, 200,
      'an access token of before'
    )
    await app.close()
    return { status: response.statusCode, token: response.json().refresh_token }
  }
  const next = await refresh([NEW, OLD], tokens.refresh_token)
  t.equal(next.status, 200)
  t.equal((await refresh([NEW], next.token)).status, 200, 'a session that was refreshed in between lives on')
})
