import { setImmediate as turn, setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import type { Test } from 'tap'
import type { AuthenticatedUser } from '../../../lib/identity/access-token.js'
import type { LatchkeyError } from '../../../lib/errors.js'
import type { Grant } from '../../../lib/sessions/issued.js'
import { createTokenSignals } from '../../../lib/tokens/signals.js'
import type { TokenLife } from '../../../lib/tokens/token-life.js'
import {
  createFixedKeyring, createHmacKey, createJwtKey, createSignals, createWorld, databaseIn, DAY, MINUTE, openKeys, SECOND
} from '../support.js'
import type { KeyWorld, World } from '../support.js'

const codeOf = ({ reason }: AbortSignal): string => (reason as LatchkeyError).code

/** Resolves with the code when the signal has aborted. The timer of the signals does not keep the process alive. */
async function ending (signal: AbortSignal): Promise<string> {
  while (!signal.aborted) await sleep(2)
  return codeOf(signal)
}

interface Bench {
  world: World
  keys: KeyWorld
  /** Starts a session of another user, and returns what its first token says. */
  start (): Promise<{ user: AuthenticatedUser, grant: Grant, token: string }>
}

async function build (
  t: Test, { file, accessTokenTtl }: { file?: string, accessTokenTtl?: number } = {}
): Promise<Bench> {
  const world = await createWorld(t, { file, accessTokenTtl })
  const keys = await openKeys(world, { accessTokenTtl })
  t.teardown(() => keys.signals.close())
  let users = 0
  return {
    world,
    keys,
    async start () {
      const grant = await world.sessions.start(await world.addUser(`user ${users++} of ${process.pid}`))
      const token = await keys.tokens.sign(grant)
      return { user: await keys.tokens.verify(token), grant, token }
    }
  }
}

t.test('each kind of revocation aborts the signals of its tokens before it is acknowledged, and no others', async t => {
  const { world: { revocations, sessions }, keys, start } = await build(t)
  const table: Array<[name: string, revoke: (grant: Grant, user: AuthenticatedUser) => Promise<unknown>]> = [
    ['a token', (_grant, user) => sessions.endToken(user.claims)],
    ['a session', (_grant, user) => revocations.write([], ({ revoke }) => revoke.sessions([user.sessionId ?? '']))],
    ['a user', (_grant, user) => revocations.revokeUser(user.id)]
  ]
  const bystander = await start()
  t.equal(bystander.user.signal.aborted, false)
  for (const [name, revoke] of table) {
    const { user, grant } = await start()
    t.equal(user.signal.aborted, false, name)
    let reason: unknown
    user.signal.addEventListener('abort', () => { reason = user.signal.reason })
    await revoke(grant, user)
    t.match(reason, { code: 'token_revoked', statusCode: 401 }, name)
    t.equal(bystander.user.signal.aborted, false, name)
  }
  const { user } = await start()
  t.equal(user.signal.aborted, false)
  await revocations.write([], ({ revoke }) => revoke.client(user.clientId))
  t.equal(codeOf(user.signal), 'token_revoked', 'a client')
  t.equal(codeOf(bystander.user.signal), 'token_revoked', 'a client')

  const late = await start()
  t.equal(late.user.signal.aborted, false, 'issued after the rule for the client')
  const header = JSON.parse(Buffer.from(late.token.split('.')[0] ?? '', 'base64url').toString()) as { kid: string }
  await keys.keys.revoke(header.kid)
  t.equal(codeOf(late.user.signal), 'invalid_token', 'a key')
})

t.test('a rule for a user leaves the tokens alone that were issued after it', async t => {
  const { world, keys, start } = await build(t)
  const { user, grant } = await start()
  t.equal(user.signal.aborted, false)
  await world.revocations.revokeUser(user.id)
  t.equal(user.signal.aborted, true)
  const next = await keys.tokens.verify(await keys.tokens.sign({ ...grant, issuedAt: world.clock.now() }))
  t.equal(next.signal.aborted, false)
  world.wall.move(SECOND)
  await world.sessions.endToken(next.claims)
  t.equal(codeOf(next.signal), 'token_revoked')
})

t.test('a signal that is read on a dead token is aborted', async t => {
  const { world: { wall, sessions }, keys, start } = await build(t)
  const revoked = await start()
  await sessions.endToken(revoked.user.claims)
  t.equal(codeOf(revoked.user.signal), 'token_revoked')
  const expired = await start()
  wall.move(15 * MINUTE)
  t.equal(codeOf(expired.user.signal), 'token_expired')
  const closed = await start()
  keys.signals.close()
  t.equal(codeOf(closed.user.signal), 'revocation_unknown')
})

t.test('expiry aborts by the clock of the store, however far it leaps, and however long a token lives', async t => {
  const warnings: Error[] = []
  const note = (warning: Error): void => { warnings.push(warning) }
  process.on('warning', note)
  t.teardown(() => process.off('warning', note))

  const { world: { wall }, start } = await build(t, { accessTokenTtl: 60 * DAY })
  const { user } = await start()
  const { signal } = user
  await sleep(300)
  t.equal(signal.aborted, false, 'longer than the longest time of a timer')
  wall.move(-10 * DAY)
  await sleep(300)
  t.equal(signal.aborted, false, 'the clock was set back')
  wall.move(70 * DAY)
  t.equal(await ending(signal), 'token_expired')
  t.same(warnings, [])
})

t.test('a revocation by another process is noticed although no request arrives', async t => {
  const file = databaseIn(t)
  const [here, there] = [await build(t, { file }), await build(t, { file })]
  const { user } = await here.start()
  const { signal } = user
  const begun = performance.now()
  await there.world.revocations.revokeUser(user.id)
  t.equal(await ending(signal), 'token_revoked')
  t.ok(performance.now() - begun < SECOND, `${performance.now() - begun} ms`)
})

t.test('all verifications of a token share one signal, and nothing of it shows', async t => {
  const { keys, start } = await build(t)
  const { user, token } = await start()
  t.same(Object.keys(user), ['id', 'scopes', 'sessionId', 'tokenId', 'clientId', 'credential', 'claims'])
  t.equal(user.signal, user.signal)
  // A change of keys empties the cache.
  await keys.keys.rotate()
  const again = await keys.tokens.verify(token)
  t.not(again, user)
  t.strictSame(again, user)
  t.equal(again.signal, user.signal)
  for (let sockets = 0; sockets < 100; sockets++) user.signal.addEventListener('abort', () => {})
  t.equal(Object.isFrozen(user), true)
})

/** Signals whose knowledge a test sets. */
function createFake (bound: number) {
  const key = createJwtKey(createHmacKey())
  let age = 0
  const signals = createTokenSignals({
    clock: { now: Date.now },
    trusts: createFixedKeyring([key]).trusts,
    revocations: { isRevoked: () => false, isStolen: () => false, horizon: () => 0 },
    knowledge: { refresh: () => { throw new Error('no store') }, age: () => age },
    bound,
    stopwatch: () => performance.now()
  })
  let tokens = 0
  const life = (): TokenLife => ({
    revocable: {
      tokenId: `t${tokens++}`, sessionId: undefined, userId: 'u', clientId: 'c', issuedAt: Date.now()
    },
    kid: key.kid,
    expiresAt: Date.now() + MINUTE,
    diesAt: Date.now() + MINUTE
  })
  return { signals, life, setAge (milliseconds: number) { age = milliseconds } }
}

t.test('there is no timer before a signal is read, nor after the last one has aborted', async t => {
  const { setTimeout: original } = globalThis
  let made = 0
  let last: NodeJS.Timeout | undefined
  globalThis.setTimeout = Object.assign((...parameters: Parameters<typeof original>) => {
    const timer = original(...parameters)
    // Other tests of this process have timers of their own.
    if (/lib\/tokens\/knowledge-watch\.[jt]s/.test(new Error().stack ?? '')) {
      made++
      last = timer
    }
    return timer
  }, original)
  t.teardown(() => { globalThis.setTimeout = original })
  const { signals, life } = createFake(SECOND)
  t.equal(made, 0)
  signals.of({ ...life(), diesAt: Date.now() + 600 })
  t.equal(made, 1)
  t.equal(last?.hasRef(), false, 'it does not keep the process alive')
  await sleep(1_000)
  t.ok(made >= 3, 'it looks several times within the bound')
  const then = made
  await sleep(600)
  t.equal(made, then)
})

t.test('if the revocations stay unknown for longer than the bound, all signals abort', async t => {
  const { signals, life, setAge } = createFake(200)
  const signal = signals.of(life())
  await sleep(400)
  t.equal(signal.aborted, false, 'known all the time')
  const begun = performance.now()
  const clock = setInterval(() => setAge(performance.now() - begun), 1)
  t.teardown(() => clearInterval(clock))
  t.equal(await ending(signal), 'revocation_unknown')
  const elapsed = performance.now() - begun
  t.ok(elapsed >= 190 && elapsed < 400, `${elapsed} ms`)
  const next = signals.of(life())
  t.equal(next.aborted, false, 'a guard has just let it through, so it gets as long')
  t.equal(await ending(next), 'revocation_unknown')
})

t.test('a process that stood still looks twice before it gives up', async t => {
  const { signals, life, setAge } = createFake(200)
  const signal = signals.of(life())
  await sleep(250)
  setAge(1_000)
  const until = performance.now() + 300
  while (performance.now() < until);
  await turn()
  t.equal(signal.aborted, false)
  setAge(10)
  await sleep(300)
  t.equal(signal.aborted, false, 'the news had arrived meanwhile')
  signals.close()
})

t.test('ten thousand signals abort in steps, and others run between them', async t => {
  const { signals, life } = createFake(SECOND)
  const made = Array.from({ length: 10_000 }, () => signals.of(life()))
  const aborted = (): number => made.filter(signal => signal.aborted).length
  signals.close()
  t.equal(aborted(), 100, 'the first ones abort at once')
  let turns = 0
  while (aborted() < 10_000) {
    await turn()
    turns++
  }
  t.ok(turns >= 50, `${turns} turns`)
})

t.test('a rule costs nothing but the tokens that it names', async t => {
  const { world, keys } = await build(t)
  let asked = 0
  const signals = createSignals({
    ...world,
    revocations: {
      ...world.revocations,
      isRevoked (token) {
        asked++
        return world.revocations.isRevoked(token)
      }
    }
  }, keys.keyring)
  const kid = keys.keyring.signer(world.clock.now()).kid
  const lives = Array.from({ length: 1_000 }, (_, index) => ({
    revocable: {
      tokenId: `t${index}`, sessionId: `s${index}`, userId: `u${index % 100}`, clientId: 'c', issuedAt: world.wall()
    },
    kid,
    expiresAt: world.wall() + MINUTE,
    diesAt: world.wall() + MINUTE
  }))
  const made = lives.map(signals.of)
  asked = 0
  for (let rule = 0; rule < 100; rule++) {
    await world.revocations.write([], ({ revoke }) => revoke.sessions([`other ${rule}`]))
  }
  t.equal(asked, 0)
  await world.revocations.revokeUser('u7')
  t.equal(asked, 10)
  t.equal(made.filter(({ aborted }) => aborted).length, 10)
  t.equal(made[7]?.aborted, true)
  await world.revocations.write([], ({ revoke }) => revoke.sessions(['s7', 's8']))
  t.equal(asked, 11, 'what has aborted is forgotten')
  signals.close()
})
