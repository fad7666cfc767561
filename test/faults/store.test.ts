import { spawnSync } from 'node:child_process'
import { chmodSync, chownSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import Database from 'better-sqlite3'
import t from 'tap'
import type { Test } from 'tap'
import type { TokenBody } from '../helper.js'
import {
  askMe, askRefresh, askRevoke, askToken, call, isPending, launch, logIn, register, serve, stop
} from './support.js'
import type { Answer, Service } from './support.js'

// The running service while its database is locked, full, read-only or no database at all.
//   node dist/test/faults/store.test.js

const isRoot = process.getuid?.() === 0
/**
 * No request that needs no write may take longer while writers wait, in milliseconds: a synchronous wait takes 5,000.
 */
const PROMPT = 1_500

t.jobs = 4
t.setTimeout(300_000)

/**
 * Accounts with a session each, and what writes: a login, a refresh, both revocations and a logout, of one user each.
 */
const USERS = ['reader', 'refreshes', 'revokes', 'ends', 'leaves'] as const
type Tokens = Record<typeof USERS[number], TokenBody>

async function enrol (url: string): Promise<Tokens> {
  const tokens: Partial<Tokens> = {}
  for (const name of USERS) {
    await register(url, name)
    tokens[name] = await logIn(url, name)
  }
  return tokens as Tokens
}

function write (url: string, tokens: Tokens): Record<string, Promise<Answer | undefined>> {
  return {
    login: askToken(url, 'reader'),
    refresh: askRefresh(url, tokens.refreshes.refresh_token),
    'revocation of an access token': askRevoke(url, tokens.revokes.access_token),
    'revocation of a session': askRevoke(url, tokens.ends.refresh_token),
    logout: call(url, '/logout', { headers: { authorization: `Bearer ${tokens.leaves.access_token}` } })
  }
}

/** What the writes above have made of it: `done` or `undone`, all of it and nothing in between. */
async function expectState (t: Test, url: string, tokens: Tokens, state: 'done' | 'undone'): Promise<void> {
  const dead = state === 'done' ? 401 : 200
  t.equal((await askMe(url, tokens.revokes.access_token))?.status, dead, `revoked token: ${state}`)
  t.equal((await askMe(url, tokens.ends.access_token))?.status, dead, `token of a revoked session: ${state}`)
  t.equal((await askMe(url, tokens.leaves.access_token))?.status, dead, `token after logout: ${state}`)
  t.equal((await askMe(url, tokens.refreshes.access_token))?.status, 200)
  t.equal((await askMe(url, tokens.reader.access_token))?.status, 200)
}

function expectRefusal (t: Test, name: string, answer: Answer | undefined): void {
  t.equal(answer?.status, 503, name)
  t.match(answer?.headers.get('retry-after'), /^\d+$/, `${name}: Retry-After`)
  t.equal(
    answer?.body?.code ?? answer?.body?.error,
    answer?.body?.code === undefined ? 'temporarily_unavailable' : 'store_unavailable'
  )
  t.notMatch(JSON.stringify(answer?.body), /SQLITE|sqlite|disk|latchkey\.db/, 'and nothing of the engine')
}

function rowsOf<T> (file: string, sql: string): T[] {
  const database = new Database(file, { readonly: true })
  try {
    return database.prepare(sql).all() as T[]
  } finally {
    database.close()
  }
}

function integrityOf (file: string): unknown {
  const database = new Database(file, { readonly: true })
  try {
    return database.pragma('integrity_check', { simple: true })
  } finally {
    database.close()
  }
}

/** The lock that every writer needs, in our hands. */
function lock (t: Test, file: string): { release (): void } {
  const database = new Database(file)
  database.exec('begin immediate')
  const held = {
    release () {
      if (!database.open) return
      database.exec('rollback')
      database.close()
    }
  }
  t.teardown(held.release)
  return held
}

t.test('while another process holds the lock, writers wait and get their answer when it lets go; nobody else waits', async t => {
  const directory = t.testdir()
  const { url } = await serve(t, directory)
  const tokens = await enrol(url)
  const held = lock(t, join(directory, 'latchkey.db'))
  const writes = write(url, tokens)
  const ready = call(url, '/health/ready', { method: 'GET' })
  const answered = Promise.race(Object.values(writes))
  let slowest = 0
  for (let i = 0; i < 100; i++) {
    const answer = await askMe(url, tokens.reader.access_token)
    if (answer?.status !== 200) t.fail(`a protected call got ${answer?.status}`)
    slowest = Math.max(slowest, answer?.milliseconds ?? Infinity)
  }
  t.ok(slowest < PROMPT, `the slowest of a hundred protected calls took ${slowest.toFixed(1)} ms`)
  t.ok(await isPending(ready), 'it is ready when a login would work')
  t.ok(await isPending(answered), 'no writer has an answer')
  await expectState(t, url, tokens, 'undone')
  held.release()
  for (const [name, answer] of Object.entries(writes)) {
    t.equal(
      (await answer)?.status, name === 'logout' ? 204 : 200, name
    )
  }
  t.equal((await ready)?.status, 200, 'ready')
  await expectState(t, url, tokens, 'done')
})

t.test('a lock held longer than 5 s: 503 with Retry-After, nothing of it is kept, protected calls go on, and then everything works; a start meanwhile ends with one sentence', async t => {
  const directory = t.testdir()
  const file = join(directory, 'latchkey.db')
  const service = await serve(t, directory)
  const { url } = service
  const tokens = await enrol(url)
  const sessions = rowsOf(file, 'select * from latchkey_sessions order by id')
  const held = lock(t, file)
  const writes = write(url, tokens)
  // A second service on the same file.
  const start = expectNoStart(
    t,
    directory,
    /^latchkey: The option database \(LATCHKEY_DATABASE\) names '.*', which cannot be opened: database is locked.*\n$/
  )
  const state = { isOver: false }
  const over = Promise.all(Object.values(writes)).finally(() => { state.isOver = true })
  let calls = 0
  let slowest = 0
  while (!state.isOver) {
    const answer = await askMe(url, tokens.reader.access_token)
    if (answer?.status !== 200) t.fail(`a protected call got ${answer?.status}`)
    slowest = Math.max(slowest, answer?.milliseconds ?? Infinity)
    calls++
    await delay(25) // A client that calls now and then, not one that keeps the machine busy.
  }
  t.ok(slowest < PROMPT, `the slowest of ${calls} protected calls took ${slowest.toFixed(1)} ms`)
  await Promise.all([over, start])
  for (const [name, promise] of Object.entries(writes)) {
    const answer = await promise
    expectRefusal(t, name, answer)
    const { milliseconds } = answer ?? { milliseconds: 0 }
    t.ok(milliseconds > 4_500 && milliseconds < 15_000, `${name}: after ${milliseconds.toFixed(0)} ms`)
  }
  await expectState(t, url, tokens, 'undone')
  held.release()
  t.same(rowsOf(file, 'select * from latchkey_sessions order by id'), sessions)
  t.same(rowsOf(file, 'select * from latchkey_rules'), [])
  for (const [name, answer] of Object.entries(write(url, tokens))) {
    t.equal(
      (await answer)?.status, name === 'logout' ? 204 : 200, `${name}, again`
    )
  }
  await expectState(t, url, tokens, 'done')
  t.equal(service.errors, '')
})

/** The start fails with one sentence for people, and exit code 1. */
async function expectNoStart (t: Test, directory: string, sentence: RegExp): Promise<void> {
  const service = launch(t, directory)
  t.equal(await service.exited, 1)
  t.match(service.errors, sentence)
  t.equal(service.errors.split('\n').length, 2, `one sentence: ${service.errors}`)
  t.notMatch(service.output, /listening|password/)
}

/** Revocations until the first that is refused: those that were acknowledged, and the one that was not. */
async function revokeUntilRefused (
  t: Test, url: string, username: string, logins: TokenBody[]
): Promise<{ revoked: TokenBody[], refused: Answer | undefined }> {
  const revoked: TokenBody[] = []
  for (const login of logins) {
    const answer = await askRevoke(url, login.refresh_token)
    if (answer?.status !== 200) return { revoked, refused: answer }
    revoked.push(login)
  }
  // No session is left, so logins: each writes more than a revocation.
  for (let i = 0; i < 3_000; i++) {
    const answer = await askToken(url, username)
    if (answer?.status !== 200) return { revoked, refused: answer }
    logins.push(answer.body as unknown as TokenBody)
  }
  t.fail('three thousand logins fitted on a full disk')
  return { revoked, refused: undefined }
}

/**
 * The whole of it, whatever it is that keeps the file from growing; the service is killed at the end.
 * @returns what the next life of the service must honour.
 */
async function fillAndFree (
  t: Test, service: Service, { fill, free }: { fill (): void, free (): void }
): Promise<Acknowledged> {
  const { url } = service
  const tokens = await enrol(url)
  const logins: TokenBody[] = []
  for (let i = 0; i < 5; i++) logins.push(await logIn(url, 'reader'))
  fill()
  const { revoked, refused } = await revokeUntilRefused(t, url, 'reader', logins)
  expectRefusal(t, 'the first write that does not fit', refused)
  // A login needs the most room of all, and one revocation may still fit where it did not: the answer says which it
  // was.
  const answers: Record<string, Answer | undefined> = {}
  for (const [name, promise] of Object.entries(write(url, tokens))) {
    const answer = answers[name] = await promise
    if (answer?.status !== 200 && answer?.status !== 204) expectRefusal(t, name, answer)
  }
  const isRefused = (name: string): boolean => answers[name]?.status === 503
  t.ok(isRefused('login'))
  t.equal((await askMe(url, tokens.reader.access_token))?.status, 200, 'a protected call goes on')
  t.equal(
    (await askMe(url, tokens.revokes.access_token))?.status, isRefused('revocation of an access token') ? 200 : 401
  )
  t.equal((await askMe(url, tokens.ends.access_token))?.status, isRefused('revocation of a session') ? 200 : 401)
  t.equal((await askMe(url, tokens.leaves.access_token))?.status, isRefused('logout') ? 200 : 401)
  for (const { access_token: token } of revoked) {
    t.equal(
      (await askMe(url, token))?.status, 401, 'what was acknowledged is in force'
    )
  }

  free()
  for (const [name, answer] of Object.entries(write(url, tokens))) {
    t.equal(
      (await answer)?.status, name === 'logout' ? 204 : 200, `${name}, without a restart`
    )
  }
  await expectState(t, url, tokens, 'done')
  service.kill('SIGKILL')
  await service.exited
  return { tokens, dead: revoked, live: logins.slice(revoked.length) }
}

interface Acknowledged {
  tokens: Tokens
  dead: TokenBody[]
  live: TokenBody[]
}

/** What was acknowledged around a full disk is kept by the next life of the service. */
async function expectKept (
  t: Test, { url }: Service, directory: string, { tokens, dead, live }: Acknowledged
): Promise<void> {
  t.equal(integrityOf(join(directory, 'latchkey.db')), 'ok')
  await expectState(t, url, tokens, 'done')
  for (const { access_token: token } of dead) t.equal((await askMe(url, token))?.status, 401, 'dead')
  const ends = [...live.slice(0, 20), ...live.slice(-20)]
  const statuses = await Promise.all(ends.map(async (
    { refresh_token: token }
  ) => (await askRefresh(url, token))?.status))
  t.ok(
    statuses.length > 0 && statuses.every(status => status === 200),
    `the first and the last of ${live.length} logins, some of them the last that fitted`
  )
}

const noTmpfs = tryMount()

/** Whether a file system of our own can be mounted here: false, or the reason why not. */
function tryMount (): false | string {
  if (!isRoot) return 'only root can mount a small file system'
  const directory = mkdtempSync(join(tmpdir(), 'latchkey-mount-'))
  try {
    const { status, stderr, error } = spawnSync(
      'mount', ['-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', directory], { encoding: 'utf8' }
    )
    if (error !== undefined ||
      status !== 0) return `no file system can be mounted here: ${error?.message ?? stderr.trim()}`
    spawnSync('umount', [directory])
    return false
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}

/** A directory on a file system of `size`; unmounted when the test ends. */
function mount (t: Test, size: string): string {
  const directory = mkdtempSync(join(tmpdir(), 'latchkey-full-'))
  const { status, stderr } = spawnSync(
    'mount', ['-t', 'tmpfs', '-o', `size=${size}`, 'tmpfs', directory], { encoding: 'utf8' }
  )
  if (status !== 0) throw new Error(stderr)
  t.teardown(() => {
    const { status, stderr } = spawnSync('umount', [directory], { encoding: 'utf8' })
    if (status !== 0) throw new Error(`${directory} is still mounted: ${stderr}`)
    rmSync(directory, { recursive: true, force: true })
  })
  return directory
}

/** Takes what room there is, to the last block. */
function fillDisk (filler: string): void {
  for (const size of [65_536, 4_096]) {
    for (;;) {
      try {
        writeFileSync(filler, Buffer.alloc(size), { flag: 'a' })
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'ENOSPC') break
        throw error
      }
    }
  }
}

t.test('a full disk: what writes is 503, protected calls go on, and it recovers without a restart when there is room', {
  skip: noTmpfs
}, async t => {
  const directory = mount(t, '2m')
  const filler = join(directory, 'filler')
  const acknowledged = await fillAndFree(t, await serve(t, directory), {
    fill: () => fillDisk(filler),
    free: () => rmSync(filler)
  })
  const again = await serve(t, directory)
  await expectKept(t, again, directory, acknowledged)
  again.kill('SIGKILL')
  await again.exited

  // The next start finds no room at all: it says so, or it works; it never hangs and never loses anything.
  fillDisk(filler)
  const list = launch(t, directory, { args: ['users', 'list'] })
  const code = await list.exited
  t.ok(code === 0 || /^latchkey: .*\n$/.test(list.errors), `${code} ${list.errors}`)
  rmSync(filler)
  await expectKept(t, await serve(t, directory), directory, acknowledged)
})

t.test('a first start on a full disk ends with one sentence, and the next one begins anew', {
  skip: noTmpfs
}, async t => {
  const directory = mount(t, '512k')
  const filler = join(directory, 'filler')
  fillDisk(filler)
  await expectNoStart(t, directory, /^latchkey: .*\n$/)
  rmSync(filler)
  const { url } = await serve(t, directory)
  t.equal((await register(url, 'alice'))?.status, 201)
  t.same(
    readdirSync(directory).filter(name => !name.startsWith('latchkey.db') && name !== 'latchkey.secret'), [],
    'no half-made files'
  )
})

const noPrlimit = spawnSync('prlimit', ['--version']).error !== undefined && 'prlimit (util-linux) is not installed'

t.test('a file that may not grow (a quota): the same', { skip: noPrlimit }, async t => {
  const directory = t.testdir()
  const service = await serve(t, directory)
  function limit (size: string): void {
    const { status, stderr } = spawnSync(
      'prlimit', ['--pid', String(service.pid), `--fsize=${size}:unlimited`], { encoding: 'utf8' }
    )
    if (status !== 0) throw new Error(stderr)
  }
  const acknowledged = await fillAndFree(t, service, {
    fill: () => limit('300000'),
    free: () => limit('unlimited')
  })
  await expectKept(t, await serve(t, directory), directory, acknowledged)
})

/** The command that runs the service as a user whom file modes bind, or the reason why there is none. */
function findOtherUser (): { prefix: string[], id: number } | string {
  if (!isRoot) return { prefix: [], id: process.getuid?.() ?? 0 }
  const prefix = ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups']
  const { error, status, stderr } = spawnSync(
    'setpriv',
    [
      ...prefix.slice(1), process.execPath, '-e',
      `require('node:fs').readFileSync(${JSON.stringify(import.meta.filename)})`
    ],
    { encoding: 'utf8' }
  )
  if (error !== undefined ||
    status !== 0) return `root ignores file modes, and the service cannot be run as another user: ${error?.message ?? stderr.trim().split('\n')[0]}`
  return { prefix, id: 65_534 }
}

const other = findOtherUser()

t.test('a database made read-only: a running service goes on and loses nothing, a start ends with one sentence', {
  skip: typeof other === 'string' ? other : false
}, async t => {
  if (typeof other === 'string') return
  const directory = mkdtempSync(join(tmpdir(), 'latchkey-modes-'))
  t.teardown(() => rmSync(directory, { recursive: true, force: true }))
  if (isRoot) chownSync(directory, other.id, other.id)
  const { prefix } = other
  const service = await serve(t, directory, { prefix })
  const tokens = await enrol(service.url)
  const files = readdirSync(directory).filter(name => name.startsWith('latchkey.db')).map(name => join(directory, name))
  t.equal(files.length, 3, 'the database, its log and its index')

  for (const file of files) chmodSync(file, 0o444)
  chmodSync(directory, 0o555)
  // The files are open: modes are looked at when they are opened. Either answer would do, as long as it is kept.
  const outcome: Record<string, number | undefined> = {}
  for (const [name, answer] of Object.entries(write(service.url, tokens))) outcome[name] = (await answer)?.status
  t.same(
    outcome,
    { login: 200, refresh: 200, 'revocation of an access token': 200, 'revocation of a session': 200, logout: 204 }
  )
  await expectState(t, service.url, tokens, 'done')
  service.kill('SIGKILL')
  await service.exited

  const failed = await serve(t, directory, { prefix }).then(() => 'it has started', (error: Error) => error.message)
  t.match(failed, /The service ended with [14]: latchkey: .*readonly.*\n$/)
  t.equal(failed.trim().split('\n').length, 1, 'one sentence')

  chmodSync(directory, 0o755)
  for (const file of files) chmodSync(file, 0o600)
  const again = await serve(t, directory, { prefix })
  await expectState(t, again.url, tokens, 'done')
  t.equal(
    (await askRefresh(again.url, tokens.refreshes.refresh_token))?.status, 200,
    'also the refresh whose answer was thrown away'
  )
})

t.test('a database replaced by garbage, cut off or overwritten in its middle, while stopped: never a start that forgets', async t => {
  const directory = t.testdir()
  const file = join(directory, 'latchkey.db')
  const first = await serve(t, directory)
  const tokens = await enrol(first.url)
  t.equal((await askRevoke(first.url, tokens.revokes.access_token))?.status, 200)
  t.equal(await stop(first), 0)
  const whole = readFileSync(file)
  const sentence =
    /^latchkey: The option database \(LATCHKEY_DATABASE\) names '.*latchkey\.db', which cannot be opened: .*\n$/
  const garbage = {
    'text where the database was': Buffer.from('This is not the database that you are looking for.\n'.repeat(500)),
    'the head gone': Buffer.concat([Buffer.alloc(4_096, 0xa5), whole.subarray(4_096)]),
    'cut off after the first page': whole.subarray(0, 4_096)
  }
  for (const [name, content] of Object.entries(garbage)) {
    await t.test(name, async t => {
      writeFileSync(file, content)
      await expectNoStart(t, directory, sentence)
      t.same(readFileSync(file), content, 'the file is as it was: somebody may be able to mend it')
    })
  }
  writeFileSync(file, whole)
  const again = await serve(t, directory)
  t.equal((await askMe(again.url, tokens.revokes.access_token))?.status, 401)
  t.equal((await askMe(again.url, tokens.reader.access_token))?.status, 200)
})
