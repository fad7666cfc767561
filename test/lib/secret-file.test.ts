import { once } from 'node:events'
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { createSecretFile, readSecretFile, secretFileOf } from '../../lib/secret-file.js'
import { libUrl, startScript } from './support.js'

t.test('where it is', async t => {
  const table: Array<[database: string, file: string]> = [
    ['./auth.db', './auth.secret'], ['/var/lib/a.sqlite', '/var/lib/a.secret'], ['a.sqlite3', 'a.secret'], ['a', 'a.secret'],
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

t.test('the mode does not depend on the umask', { skip: process.platform === 'win32' ? 'no modes' : false }, async t => {
  const file = join(t.testdir(), 'auth.secret')
  const { result } = startScript(t, `process.umask(0); await (await import(${libUrl('secret-file.js')})).createSecretFile(${JSON.stringify(file)})`)
  t.match(await result, { code: 0, stderr: '' })
  t.equal(statSync(file).mode & 0o777, 0o600)
})

t.test('many at once, in this process and in others, get the same secret', async t => {
  const folder = t.testdir()
  const file = join(folder, 'auth.secret')
  const script = `
    const { createSecretFile } = await import(${libUrl('secret-file.js')})
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
    writeFileSync(file, content)
    for (const attempt of [readSecretFile, createSecretFile]) {
      const error = await attempt(file).then(() => undefined, (error: Error) => error)
      t.match(error, { name: 'RangeError', message: `The secret file ${file} holds less than 32 bytes: restore it from a backup, or give the secret by the option secret (LATCHKEY_SECRET)` }, JSON.stringify(content))
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
  await t.rejects(readSecretFile(file), { code: 'EISDIR' })
  await t.rejects(createSecretFile(file))
  t.same(readdirSync(folder), ['auth.secret'], 'no draft is left')
  await t.rejects(createSecretFile(join(folder, 'missing', 'auth.secret')), { code: 'ENOENT' })
})
