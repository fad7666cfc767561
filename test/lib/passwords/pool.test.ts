import { createHash } from 'node:crypto'
import { access } from 'node:fs/promises'
import { join } from 'node:path'
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Worker } from 'node:worker_threads'
import { hashSync } from 'bcryptjs'
import t, { type Test } from 'tap'
import { costOf, dummyHash } from '../../../lib/passwords/hash-format.js'
import { hashPassword } from '../../../lib/passwords/hashing.js'
import { createPasswords, PasswordQueueFullError } from '../../../lib/passwords/pool.js'
import type { Caller, PasswordOptions, Passwords } from '../../../lib/passwords/pool.js'
import { useOwnThreads } from '../../shared-threads.js'

// Slow enough to be still at work while a test looks; a test never waits for it.
const SLOW = dummyHash(16)

function build (t: Test, options: Partial<PasswordOptions> = {}): Passwords {
  useOwnThreads(t)
  const passwords = createPasswords({ cost: 4, threads: 1, ...options })
  t.teardown(passwords.close)
  return passwords
}

function watchThreads (t: Test): Worker[] {
  const threads: Worker[] = []
  function remember (thread: Worker): void {
    threads.push(thread)
  }
  process.on('worker', remember)
  t.teardown(() => process.off('worker', remember))
  return threads
}

function toVersion1 (password: string): string {
  const hash = hashSync(createHash('sha256').update(password).digest('base64'), 4)
  return `$bcrypt-sha256$2b,4$${hash.slice(7, 29)}$${hash.slice(29)}`
}

t.test('a text that is too long for a password is cut before a worker normalises it, and is not valid', async t => {
  const passwords = build(t)
  const longest = '\u{1D41A}'.repeat(1024)
  const hash = await passwords.hash(longest)
  t.equal((await passwords.verify(longest, hash)).valid, true)
  t.equal((await passwords.verify(longest + 'x', hash)).valid, false)
  // To normalise this one takes minutes.
  t.equal((await passwords.verify('i' + '\u0307\u0323'.repeat(500_000), hash)).valid, false)
})

t.test('hash and verify', async (t) => {
  const passwords = build(t)
  const hash = await passwords.hash('correct horse')
  t.equal(costOf(hash), 4)
  const long = 'x'.repeat(1000)

  type Row = [name: string, password: string, hash: string | undefined, valid: boolean, needsRehash: boolean]
  const table: Row[] = [
    ['right', 'correct horse', hash, true, false],
    ['wrong', 'correct horsf', hash, false, false],
    ['long', long, await passwords.hash(long), true, false],
    ['right, old form', 'correct horse', toVersion1('correct horse'), true, true],
    ['wrong, old form', 'correct horsf', toVersion1('correct horse'), false, false],
    ['no such user', 'correct horse', undefined, false, false],
    ['no such user, empty password', '', undefined, false, false],
    ['garbage', 'correct horse', 'garbage', false, false],
    ['truncated', 'correct horse', hash.slice(0, -1), false, false],
    ['$2x$', 'correct horse', hash.replace('$2b$', '$2x$'), false, false]
  ]
  for (const [name, password, stored, valid, needsRehash] of table) {
    t.same(await passwords.verify(password, stored), { valid, needsRehash }, name)
  }
})

t.test('a hash of a lower cost asks for a new one', async (t) => {
  const passwords = build(t, { cost: 5 })
  const old = hashPassword('correct horse', 4)
  t.same(await passwords.verify('correct horse', old), { valid: true, needsRehash: true })
  t.same(await passwords.verify('wrong', old), { valid: false, needsRehash: false })
  const renewed = await passwords.hash('correct horse')
  t.equal(costOf(renewed), 5)
  t.same(await passwords.verify('correct horse', renewed), { valid: true, needsRehash: false })
})

t.test('each of many jobs at once gets its own answer', async (t) => {
  const passwords = build(t, { threads: 2 })
  const hash = hashPassword('7', 4)
  const found = await Promise.all(Array.from({ length: 20 }, (_, i) => passwords.verify(String(i), hash)))
  t.same(found.map(({ valid }) => valid), Array.from({ length: 20 }, (_, i) => i === 7))
})

t.test('no thread before the first job, no more than asked for', async (t) => {
  const threads = watchThreads(t)
  const passwords = build(t, { threads: 2 })
  t.equal(threads.length, 0)
  await passwords.hash('one')
  t.equal(threads.length, 1)
  await Promise.all(['one', 'two', 'three', 'four'].map(password => passwords.hash(password)))
  t.equal(threads.length, 2)
})

t.test('a thread gets nothing of the environment, and starts nothing the host preloads', async (t) => {
  const directory = t.testdir({ 'preload.cjs': "require('node:fs').writeFileSync(__filename + '.ran', '')" })
  const preload = join(directory, 'preload.cjs')
  t.intercept(process, 'env', { value: { ...process.env, NODE_OPTIONS: `--require=${preload}` } })
  const passwords = build(t)
  t.ok(await passwords.hash('correct horse'))
  await t.rejects(access(`${preload}.ran`), { code: 'ENOENT' })
})

t.test('a full queue refuses at once, and works again later', async (t) => {
  const passwords = build(t, { maxQueue: 2 })
  const accepted = ['running', 'first', 'second'].map(password => passwords.hash(password))
  t.equal(passwords.queueSize, 2)
  await t.rejects(passwords.hash('third'), { name: 'PasswordQueueFullError', code: 'PASSWORD_QUEUE_FULL' })
  await t.rejects(passwords.verify('third', undefined), PasswordQueueFullError)
  t.equal((await Promise.all(accepted)).length, 3)
  t.equal(passwords.queueSize, 0)
  t.same(await passwords.verify('fourth', hashPassword('fourth', 4)), { valid: true, needsRehash: false })
})

t.test('new passwords are checked in one separate thread', async (t) => {
  const threads = watchThreads(t)
  const passwords = build(t, { threads: 2 })
  const rules = { minLength: 15, username: 'maria.silva.1984' }
  t.equal(await passwords.check('too short', rules), 'It is shorter than 15 characters.')
  t.equal(threads.length, 0, 'the size check needs no thread')
  const found = await Promise.all(
    [
      'marble otter sings at noon', 'password1234567', 'maria.silva.1984'
    ].map(password => passwords.check(password, rules))
  )
  t.match(found, [undefined, /most common passwords/, /username/])
  t.equal(threads.length, 1)
  await passwords.close()
  t.equal(threads[0]?.threadId, -1, 'it ends with the others')
})

t.test('checks have a separate queue, so no login waits for them', async (t) => {
  const passwords = build(t, { maxQueue: 1 })
  const checks = ['running', 'waiting'].map(password => passwords.check(password, { minLength: 4 }))
  await t.rejects(passwords.check('refused', { minLength: 4 }), PasswordQueueFullError)
  t.equal(passwords.queueSize, 1)
  t.ok(await passwords.hash('a login'))
  await Promise.all(checks)
})

t.test('a flood of registrations neither fills the queue of known callers nor starves them', async (t) => {
  const passwords = build(t, { maxQueue: 2 })
  const done: string[] = []
  const check = (caller: Caller): Promise<string | undefined> => {
    return passwords.check('marble otter sings at noon', { minLength: 15 }, caller)
  }
  const flood = ['first', 'second', 'third'].map(async name => {
    await check({ origin: name, isAnonymous: true })
    done.push(name)
  })
  await t.rejects(check({ origin: 'fourth', isAnonymous: true }), PasswordQueueFullError)
  const change = check({ origin: 'user' }).then(() => done.push('change'))
  await Promise.all([...flood, change])
  t.same(done, ['first', 'change', 'second', 'third'], 'the known caller is next')
})

t.test('64 jobs wait when nothing else is said', async (t) => {
  const passwords = build(t)
  const accepted = Array.from({ length: 65 }, (_, i) => passwords.hash(String(i)))
  await t.rejects(passwords.hash('66'), PasswordQueueFullError)
  t.equal((await Promise.all(accepted)).length, 65)
})

t.test('a thread that crashes rejects its own job only', async (t) => {
  const threads = watchThreads(t)
  const passwords = build(t)
  await passwords.hash('start the thread')
  const lost = passwords.verify('lost', SLOW)
  const waiting = passwords.verify('right', hashPassword('right', 4))
  await nextTurn()
  await threads[0]?.terminate()
  await t.rejects(lost, /worker exited/)
  t.same(await waiting, { valid: true, needsRehash: false }, 'the job that waited for the dead thread')
  t.equal(threads.length, 2, 'on a new thread')
})

t.test('a thread that dies while it starts leaves no job unanswered', async (t) => {
  const table: Array<[name: string, kill: (thread: Worker) => void]> = [
    ['exits', (thread) => thread.terminate()],
    ['fails', (thread) => thread.emit('error', new Error('expected by a test: out of memory'))]
  ]
  for (const [name, kill] of table) {
    const passwords = build(t)
    process.once('worker', kill)
    const lost = t.rejects(passwords.hash('lost'), /Terminating/, `${name}: its job`)
    const waiting = passwords.hash('waiting')
    await lost
    t.equal(costOf(await waiting), 4, `${name}: the job that waited`)
    t.equal(costOf(await passwords.hash('next')), 4, `${name}: the next one`)
  }
})

t.test('close lets running jobs finish, refuses the others, and ends the threads', async (t) => {
  const threads = watchThreads(t)
  const passwords = build(t, { maxQueue: 1 })
  const running = passwords.verify('right', hashPassword('right', 4))
  const waiting = passwords.hash('waiting')
  const refused = t.rejects(waiting, { message: 'The password threads are closed.' })
  await passwords.close()
  await refused
  t.same(await running, { valid: true, needsRehash: false })
  t.equal(passwords.queueSize, 0)
  t.equal(threads[0]?.threadId, -1, 'the thread has ended')
  await t.rejects(passwords.hash('late'), { message: 'The password threads are closed.' })
  await t.rejects(passwords.verify('late', undefined), { message: 'The password threads are closed.' })
  await t.resolves(passwords.close(), 'twice')
})

t.test('close before the first job', async (t) => {
  const threads = watchThreads(t)
  const passwords = build(t)
  await passwords.close()
  t.equal(threads.length, 0)
})

t.test('bad options are refused by name', async (t) => {
  const table: Array<[options: Partial<PasswordOptions>, message: RegExp]> = [
    [{ cost: 3 }, /"cost" must be an integer from 4 to 20/],
    [{ cost: 21 }, /"cost"/],
    [{ cost: 10.5 }, /"cost"/],
    [{ cost: NaN }, /"cost"/],
    [{ threads: 0 }, /"threads"/],
    [{ threads: 1.5 }, /"threads"/],
    [{ maxQueue: -1 }, /"maxQueue"/],
    [{ maxQueue: Infinity }, /"maxQueue"/]
  ]
  for (const [options, message] of table) t.throws(() => createPasswords({ cost: 4, ...options }), message)
})

t.test('hashes that need much memory are verified few at a time, and the others wait their turn', async t => {
  const threads = watchThreads(t)
  const passwords = build(t, { threads: 3 })
  // Two of these exceed the limit for all threads together, which is 256 MiB.
  const large = `$scrypt$ln=17,r=9,p=1$${'A'.repeat(22)}$${'A'.repeat(43)}`
  const order: string[] = []
  const verify = async (name: string, hash: string): Promise<void> => {
    t.notOk((await passwords.verify('wrong', hash)).valid, name)
    order.push(name)
  }
  const jobs = [verify('first', large), verify('second', large), verify('small', hashPassword('x', 4))]
  t.equal(passwords.queueSize, 1, 'the second waits, and the small one runs')
  await Promise.all(jobs)
  t.same(order, ['small', 'first', 'second'])
  t.ok(threads.length <= 2, 'no thread was started for a job that waits')

  const closing = build(t, { threads: 3 })
  const running = closing.verify('wrong', large)
  const waiting = [large, large].map(hash => t.rejects(closing.verify('wrong', hash), /closed/))
  t.equal(closing.queueSize, 2)
  const closed = closing.close()
  await Promise.all(waiting)
  t.match(await running, { valid: false }, 'a job that runs gets its answer')
  await closed
})
