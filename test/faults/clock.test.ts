import t from 'tap'
import type { Test } from 'tap'
import { askMe, askRefresh, askRevoke, logIn, register, serve, stop } from './support.js'
import type { Service } from './support.js'

// The tests set the wall clock of the real service, while it runs and between two starts. The tests of one process with
// a clock of its own are in test/lib/revocation/revocations.test.ts and test/plugins/revocations.test.ts.
//   node dist/test/faults/clock.test.js

const MINUTE = 60_000
const HOUR = 60 * MINUTE
const DAY = 24 * HOUR

/**
 * How far the clock is off at the start, and by how much what each SIGCONT (which nothing else listens to) makes of
 * that.
 */
function preload (offset: number, jumps: readonly number[]): string[] {
  const script = `
    const now = Date.now
    let offset = ${offset}
    const jumps = ${JSON.stringify(jumps)}
    Date.now = () => now() + offset
    process.on('SIGCONT', () => { offset = jumps.shift(); process.stdout.write('the clock is off by ' + offset + '\\n') })`
  return ['--import', `data:text/javascript,${encodeURIComponent(script)}`]
}

/** What must stay dead, and what must go on, whatever the clock does. */
interface Promises {
  dead: Record<string, { accessToken: string, refreshToken?: string }>
}

async function expectDead (t: Test, { url }: Service, { dead }: Promises, when: string): Promise<void> {
  for (const [name, { accessToken, refreshToken }] of Object.entries(dead)) {
    t.equal((await askMe(url, accessToken))?.status, 401, `${when}: ${name}`)
    if (refreshToken !== undefined) {
      t.equal(
        (await askRefresh(url, refreshToken))?.status, 400, `${when}: ${name}, its refresh token`
      )
    }
  }
}

/** A life goes on: log in, call, refresh, revoke; what was revoked joins the dead. Any 500 on the way fails. */
async function expectLife (t: Test, { url }: Service, promises: Promises, when: string): Promise<void> {
  const login = await logIn(url, 'alice')
  t.equal((await askMe(url, login.access_token))?.status, 200, `${when}: a new token works at once`)
  const refreshed = await askRefresh(url, login.refresh_token)
  t.equal(refreshed?.status, 200, `${when}: refresh`)
  const successor = {
    accessToken: String(refreshed?.body?.access_token), refreshToken: String(refreshed?.body?.refresh_token)
  }
  t.equal((await askMe(url, successor.accessToken))?.status, 200)
  t.equal((await askRevoke(url, login.access_token))?.status, 200)
  t.equal((await askMe(url, login.access_token))?.status, 401, `${when}: revoked`)
  t.equal((await askMe(url, successor.accessToken))?.status, 200, `${when}: and only that one`)
  t.equal((await askRevoke(url, successor.refreshToken))?.status, 200)
  promises.dead[`a token revoked ${when}`] = { accessToken: login.access_token }
  promises.dead[`a session ended ${when}`] = successor
}

async function jump (service: Service, offset: number): Promise<void> {
  service.kill('SIGCONT')
  await service.printed(new RegExp(`^the clock is off by ${offset}$`, 'm'))
}

t.test('a clock that jumps both ways, while the service runs and between its starts: the revoked stay revoked, and it goes on', async t => {
  const directory = t.testdir()
  const env = { LATCHKEY_ACCESS_TOKEN_TTL: '1h' }
  const promises: Promises = { dead: {} }

  const first = await serve(t, directory, { env, nodeArgs: preload(0, [-HOUR, DAY, -30 * DAY]) })
  t.equal((await register(first.url, 'alice'))?.status, 201)
  await expectLife(t, first, promises, 'at the right time')
  await jump(first, -HOUR)
  await expectDead(t, first, promises, 'an hour back')
  await expectLife(t, first, promises, 'an hour back')
  const kept = await logIn(first.url, 'alice')
  t.equal((await askMe(first.url, kept.access_token))?.status, 200)
  await jump(first, DAY)
  await expectDead(t, first, promises, 'a day ahead')
  t.equal((await askMe(first.url, kept.access_token))?.body?.code, 'token_expired', 'a token that has had its time')
  t.equal((await askRefresh(first.url, kept.refresh_token))?.status, 200, 'its session has not')
  await expectLife(t, first, promises, 'a day ahead')
  await jump(first, -30 * DAY)
  t.equal((await askMe(first.url, kept.access_token))?.status, 401, 'what was refused as expired stays refused')
  await expectDead(t, first, promises, 'thirty days back')
  await expectLife(t, first, promises, 'thirty days back')
  const beforeKill = await logIn(first.url, 'alice')
  // Nothing is kept at the end: only what each commit has kept.
  first.kill('SIGKILL')
  await first.exited

  const second = await serve(t, directory, { env, nodeArgs: preload(-400 * DAY, [0]) })
  t.match(second.output, /the clock of this machine is behind/, 'the log says so')
  t.equal((await askMe(second.url, kept.access_token))?.status, 401)
  t.equal(
    (await askMe(second.url, beforeKill.access_token))?.status, 200, 'a token of before the kill is not in the future'
  )
  await expectDead(t, second, promises, 'restarted 400 days back')
  await expectLife(t, second, promises, 'restarted 400 days back')
  await jump(second, 0)
  await expectDead(t, second, promises, 'right again')
  t.equal(await stop(second), 0)

  // Past every rule's life, and back: the rules of before are gone or not, what they killed is dead either way.
  const third = await serve(t, directory, { env, nodeArgs: preload(60 * DAY, []) })
  await expectDead(t, third, promises, 'restarted 60 days ahead')
  await expectLife(t, third, promises, 'restarted 60 days ahead')
  t.equal(await stop(third), 0)
  const fourth = await serve(t, directory, { env, nodeArgs: preload(0, []) })
  await expectDead(t, fourth, promises, 'restarted, right again')
  await expectLife(t, fourth, promises, 'restarted, right again')
  for (const { output, errors } of [first, second, third, fourth]) {
    t.notMatch(output, /"status":5\d\d|"level":50/, 'no error in the log')
    t.equal(errors, '')
  }
})
