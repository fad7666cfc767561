import { execFileSync } from 'node:child_process'
import { generateKeyPairSync } from 'node:crypto'
import { once } from 'node:events'
import {
  chmodSync,
  chownSync,
  lchownSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync
} from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { createSecretFile, readSecretFile, secretFileOf } from '../../../lib/keys/secret-file.js'
import { libUrl, startScript } from '../support.js'

t.test('where it is', async t => {
  const table: Array<[database: string, file: string]> = [
    ['./auth.db', './auth.secret'], [
      '/var/lib/a.sqlite', '/var/lib/a.secret'
    ], ['a.sqlite3', 'a.secret'], ['a', 'a.secret'],
    ['a.db.bak', 'a.db.bak.secret'], ['a.DB', 'a.DB.secret'], ['/data.db/a', '/data.db/a.secret']
  ]
  for (const [database, file] of table) t.equal(secretFileOf(database), file)
})

t.test('made once: 256 bits, mode 0600, and nothing left beside it', async t => {
  const folder = t.testdir()
  const file = join(folder, 'auth.secret')
  t.equal(await readSecretFile(file), undefined)
  const secret = await createSecretFile(file)
  t.match(secret, /^[A-Za-z0-9_-]{43}$/)
  if (process.platform !== 'win32') t.equal(statSync(file).mode & 0o777, 0o600)
  t.equal(await readSecretFile(file), secret)
  t.equal(await createSecretFile(file), secret, 'the second one gets what is there')
  t.same(readdirSync(folder), ['auth.secret'])
})

t.test('the mode does not depend on the umask', {
  skip: process.platform === 'win32' ? 'no modes' : false
}, async t => {
  const file = join(t.testdir(), 'auth.secret')
  const { result } = startScript(
    t,
    `process.umask(0); await (await import(${libUrl('keys/secret-file.js')})).createSecretFile(${JSON.stringify(file)})`
  )
  t.match(await result, { code: 0, stderr: '' })
  t.equal(statSync(file).mode & 0o777, 0o600)
})

t.test('many at once, in this process and in others, get the same secret', async t => {
  const folder = t.testdir()
  const file = join(folder, 'auth.secret')
  const script = `
    const { createSecretFile } = await import(${libUrl('keys/secret-file.js')})
    process.stdout.write('ready ')
    await new Promise(resolve => process.stdin.once('data', resolve))
    process.stdout.write(await createSecretFile(${JSON.stringify(file)}))
    process.exit()`
  const processes = Array.from({ length: 4 }, () => startScript(t, script))
  await Promise.all(processes.map(({ child }) => once(child.stdout ?? child, 'data')))
  for (const { child } of processes) child.stdin?.write('go')
  const here = await Promise.all(Array.from({ length: 10 }, () => createSecretFile(file)))
  const there = await Promise.all(processes.map(({ result }) => result))
  for (const { code, stdout, stderr } of there) t.match([code, stdout, stderr], [0, `ready ${here[0]}`, ''])
  t.equal(new Set(here).size, 1)
  t.equal(readFileSync(file, 'utf8').trim(), here[0])
  t.same(readdirSync(folder), ['auth.secret'], 'no drafts are left')
})

t.test('a short or an empty file is refused in a sentence that names it, says nothing of what is in it, and is not replaced', async t => {
  const folder = t.testdir()
  const file = join(folder, 'auth.secret')
  for (const content of ['', '\n', ' '.repeat(64), 'too-short', 'x'.repeat(31), ` ${'x'.repeat(31)}\n`]) {
    writeFileSync(file, content, { mode: 0o600 })
    for (const attempt of [readSecretFile, createSecretFile]) {
      const error = await attempt(file).then(() => undefined, (error: Error) => error)
      const message = `The secret file ${file} holds less than 32 bytes: restore it from a backup, or set the option`
      t.match(error, { message }, JSON.stringify(content))
      if (content.trim() !== '') t.notMatch(error?.message, content.trim())
      t.equal(readFileSync(file, 'utf8'), content)
    }
  }
  writeFileSync(file, `  ${'é'.repeat(16)}\r\n`)
  t.equal(await readSecretFile(file), 'é'.repeat(16), 'bytes count, blanks around it do not')
})

t.test('what cannot be read or made is an error, not a new secret', async t => {
  const folder = t.testdir()
  const file = join(folder, 'auth.secret')
  mkdirSync(file)
  await t.rejects(readSecretFile(file), /is not a regular file/)
  await t.rejects(createSecretFile(file))
  t.same(readdirSync(folder), ['auth.secret'], 'no draft is left')
  await t.rejects(createSecretFile(join(folder, 'missing', 'auth.secret')), { code: 'ENOENT' })
})

const GOOD = 'a secret of the tests, of more than 32 bytes'
const POSIX = { skip: process.platform === 'win32' ? 'no modes' : false }

t.test('a file that others can read or change is refused, with the command that fixes it', POSIX, async t => {
  const file = join(t.testdir(), 'auth.secret')
  writeFileSync(file, GOOD)
  for (const mode of [0o600, 0o400, 0o700]) {
    chmodSync(file, mode)
    t.equal(await readSecretFile(file), GOOD, mode.toString(8))
  }
  for (const mode of [0o666, 0o644, 0o640, 0o620, 0o604, 0o602, 0o601, 0o610, 0o4644]) {
    chmodSync(file, mode)
    for (const attempt of [readSecretFile, createSecretFile]) {
      await t.rejects(
        attempt(file),
        { message: `run \`chmod 600 ${file}\`, or set the option secret (LATCHKEY_SECRET) instead` },
        mode.toString(8)
      )
    }
    t.equal(statSync(file).mode & 0o7777, mode, 'and it is left as it is')
  }
  execFileSync('chmod', ['600', file])
  t.equal(await readSecretFile(file), GOOD)
})

t.test('a symbolic link is refused, even a dangling one, and is not written through', POSIX, async t => {
  const folder = t.testdir()
  const file = join(folder, 'the secret of auth')
  const target = join(folder, 'target')
  symlinkSync(target, file)
  for (const attempt of [readSecretFile, createSecretFile]) {
    await t.rejects(attempt(file), /is a symbolic link: replace it with the file that it points to/)
  }
  t.same(readdirSync(folder), ['the secret of auth'], 'nothing was made at its target')
  writeFileSync(target, GOOD, { mode: 0o600 })
  const { message } = await readSecretFile(file).then(() => new Error('it was read'), (error: Error) => error)
  execFileSync('sh', ['-c', /`(.*?)`/.exec(message)?.[1] ?? 'false'])
  t.equal(await readSecretFile(file), GOOD, 'the command that the message gives works')
})

t.test('anything but a regular file is refused at once', POSIX, async t => {
  const file = join(t.testdir(), 'auth.secret')
  execFileSync('mkfifo', ['-m', '600', file])
  await t.rejects(readSecretFile(file), /is not a regular file/, 'a pipe, without waiting for its other end')
  await t.rejects(readSecretFile(join(file, 'auth.secret')), /cannot be opened/, 'a file in place of the folder')
  const large = join(t.testdir(), 'large.secret')
  writeFileSync(large, 'x'.repeat(100_000), { mode: 0o600 })
  await t.rejects(readSecretFile(large), /has more than 65536 bytes/)
})

const AS_ROOT = { skip: process.geteuid?.() === 0 ? false : 'only root can give files away' }

t.test('a file of another user is refused', AS_ROOT, async t => {
  const folder = t.testdir()
  const file = join(folder, 'auth.secret')
  writeFileSync(file, GOOD, { mode: 0o600 })
  chownSync(file, 65534, 65534)
  await t.rejects(readSecretFile(file), /belongs to another user \(65534\).* run `chown root /)
  symlinkSync('auth.secret', join(folder, 'link'))
  lchownSync(join(folder, 'link'), 65534, 65534)
  await t.rejects(readSecretFile(join(folder, 'link')), /symbolic link/)
  chownSync(file, 0, 0)
  chmodSync(folder, 0o755)
  const script = `
    const { readSecretFile } = await import(${libUrl('keys/secret-file.js')})
    await readSecretFile(${JSON.stringify(file)}).catch(error => process.stdout.write(error.message))`
  const { result } = startScript(t, `process.setuid(65534); ${script}`)
  t.match((await result).stdout, /cannot be read by this user: run `chown nobody /)
})

t.test('a folder in which anyone can replace the file is refused, unless it is sticky', POSIX, async t => {
  const folder = t.testdir()
  const file = join(folder, 'auth.secret')
  writeFileSync(file, GOOD, { mode: 0o600 })
  chmodSync(folder, 0o777)
  await t.rejects(readSecretFile(file), { message: `run \`chmod o-w ${folder}\`` })
  chmodSync(folder, 0o1777)
  t.equal(await readSecretFile(file), GOOD)
  chmodSync(folder, 0o755)
})

t.test('a public key is refused as the secret', async t => {
  const file = join(t.testdir(), 'auth.secret')
  const { publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  writeFileSync(file, publicKey.export({ type: 'spki', format: 'pem' }), { mode: 0o600 })
  await t.rejects(readSecretFile(file), /holds a public key, which others know/)
})
