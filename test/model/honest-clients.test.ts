import fc from 'fast-check'
import t from 'tap'
import { DAY } from '../lib/support.js'
import { prepareDatabases, START, startMachines } from './machines.js'
import type { Machines } from './machines.js'
import { setups } from './operations.js'
import type { Raw, Wallet } from './instance.js'
import { SEED } from './seed.js'

// The two sides of the promise about refresh tokens. An honest client never loses its session, whatever is lost and
// repeated on the way, by whichever process. And a thief with a copy is noticed at the latest when both parties have
// used what they received.

const RUNS = Number(process.env.LATCHKEY_TEST_RUNS ?? 15)

t.setTimeout(300_000 + RUNS * 2_000)

/** Milliseconds. A session that ends by age proves nothing. */
const SESSION_TTL = 11 * DAY

const on = fc.nat({ max: 1 })

/** What becomes of a request: it is answered, or its response is lost, or it never arrives. */
const fate = fc.constantFrom('answered' as const, 'answered' as const, 'response lost' as const, 'request lost' as const)

/** What the holder of a refresh token does. */
const actions = fc.oneof(
  { weight: 6, arbitrary: fc.record({ do: fc.constant('refresh' as const), on, fate }) },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('refresh in tabs' as const),
      tabs: fc.array(fc.record({ on, fate }), { minLength: 2, maxLength: 4 })
    })
  },
  // A tab read the old token, and its request arrives after another tab has used the new one.
  { weight: 3, arbitrary: fc.record({ do: fc.constant('refresh late' as const), on, other: on }) },
  { weight: 5, arbitrary: fc.record({ do: fc.constant('call' as const), on }) }
)

/** What happens around it. `share`: of the time for which the session can be unused. */
const surroundings = fc.oneof(
  { weight: 4, arbitrary: fc.record({ do: fc.constant('wait' as const), share: fc.integer({ min: 0, max: 45 }) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('write' as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('restart' as const), on }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('crash' as const) }) }
)

type Action = typeof actions extends fc.Arbitrary<infer T> ? T : never
type Surrounding = typeof surroundings extends fc.Arbitrary<infer T> ? T : never

/** What a party holds. */
interface Holder {
  refreshToken: string
  accessToken: string | undefined
  /** Whether a refusal has told it that its session was stolen. */
  knows: boolean
}

/** A session, and all that can happen to it. */
interface Scene {
  machines: Machines
  grace: number
  idle: number
}

async function send (
  { machines }: Scene, request: Parameters<ReturnType<Machines['instance']>['perform']>[0], holder: Holder
): Promise<Raw> {
  const wallet: Wallet = {
    accessToken: () => holder.accessToken as string,
    refreshToken: () => holder.refreshToken,
    sessionId: () => '',
    userId: () => ''
  }
  return await machines.instance(request.on).perform(request, wallet)
}

/** Refreshes with what the holder has now, and returns what to do with the response when it arrives. */
async function refresh (scene: Scene, holder: Holder, on: number, token = holder.refreshToken): Promise<() => void> {
  const { outcome, tokens } = await send(
    scene, { on, ask: 'refresh', session: 0, generation: 0, way: 'body' }, { ...holder, refreshToken: token }
  )
  return () => {
    if (tokens !== undefined) Object.assign(holder, tokens)
    else if (outcome === 'session_stolen') holder.knows = true
    else throw new Error(`A refresh got ${outcome}`)
  }
}

async function call (scene: Scene, holder: Holder, on: number): Promise<void> {
  if (holder.accessToken === undefined) return
  const { outcome } = await send(scene, { on, ask: 'call', token: 0 }, holder)
  if (outcome === 'session_stolen') holder.knows = true
  else if (!['done', 'token_expired', 'invalid_token'].includes(outcome)) throw new Error(`A call got ${outcome}`)
}

async function act (scene: Scene, holder: Holder, action: Action): Promise<void> {
  switch (action.do) {
    case 'call': return await call(scene, holder, action.on)
    case 'refresh': {
      if (action.fate === 'request lost') return
      const arrive = await refresh(scene, holder, action.on)
      if (action.fate === 'answered') arrive()
      return
    }
    case 'refresh in tabs': {
      const token = holder.refreshToken
      const sent = action.tabs.filter(({ fate }) => fate !== 'request lost')
      const arrivals = await Promise.all(sent.map(({ on }) => refresh(scene, holder, on, token)))
      for (const [index, { fate }] of sent.entries()) if (fate === 'answered') arrivals[index]?.()
      return
    }
    case 'refresh late': {
      const token = holder.refreshToken
      ;(await refresh(scene, holder, action.on))()
      await call(scene, holder, action.on)
      scene.machines.move(Math.max(0, scene.grace - 1))
      ;(await refresh(scene, holder, action.other, token))()
    }
  }
}

async function happen ({ machines, idle }: Scene, event: Surrounding): Promise<void> {
  switch (event.do) {
    case 'wait': return machines.move(Math.floor(idle * event.share / 100))
    case 'write': {
      for (const on of [0, 1]) await machines.instance(on).flush()
      return
    }
    case 'restart': return await machines.restart(event.on, machines.instance(event.on).accessTokenTtl)
    case 'crash': await machines.crash()
  }
}

async function begin (scene: Scene): Promise<Holder> {
  const holder: Holder = { refreshToken: '', accessToken: undefined, knows: false }
  const { tokens } = await send(scene, { on: 0, ask: 'log in', user: 0, password: 0, way: 'token' }, holder)
  return { ...holder, ...tokens }
}

/** Runs a property with a scene of its own for each case. */
async function check<Case> (
  directory: string, cases: fc.Arbitrary<Case>, run: (scene: Scene, given: Case) => Promise<void>
): Promise<string | undefined> {
  const createDatabase = await prepareDatabases(directory)
  const details = await fc.check(fc.asyncProperty(setups, cases, async (given, example) => {
    const setup = { ...given, sessionTtl: SESSION_TTL }
    const machines = await startMachines(createDatabase, directory, setup)
    try {
      await run({ machines, grace: setup.refreshGrace, idle: setup.refreshIdleTtl }, example)
    } finally {
      await machines.close()
    }
  }), { seed: SEED, numRuns: RUNS })
  return details.failed ? `${await fc.asyncDefaultReportMessage(details)} ${String(details.errorInstance)}` : undefined
}

t.test(`an honest client never loses its session (seed ${SEED}, ${RUNS} runs)`, async t => {
  const steps = fc.array(fc.oneof(actions, surroundings), { maxLength: 40, size: 'max' })
  t.equal(await check(t.testdir({}), steps, async (scene, steps) => {
    const client = await begin(scene)
    let usedAt = START
    for (const step of steps) {
      const now = scene.machines.rightTime()
      if (step.do === 'wait' || step.do === 'write' || step.do === 'restart' || step.do === 'crash') {
        // It may not be away for so long that the session expires, as when nothing but lost requests were sent.
        const isAway = now - usedAt > scene.idle / 2 || now - START > SESSION_TTL - 2 * scene.idle
        if (step.do !== 'wait' || !isAway) await happen(scene, step)
        continue
      }
      await act(scene, client, step)
      if (step.do === 'refresh late' || (step.do === 'refresh' && step.fate === 'answered')) usedAt = now
      if (client.knows) throw new Error('An honest client was told that its session was stolen')
    }
    ;(await refresh(scene, client, 1))()
    if (client.knows) throw new Error('An honest client has lost its session')
  }), undefined)
})

t.test(`a thief is noticed when both have used what they received (seed ${SEED}, ${RUNS} runs)`, async t => {
  const given = fc.record({
    before: fc.array(actions, { maxLength: 6 }),
    after: fc.array(fc.record({ isThief: fc.boolean(), action: actions }), { maxLength: 10 }),
    events: fc.array(surroundings.filter(event => event.do !== 'wait'), { maxLength: 4 }),
    on
  })
  t.equal(await check(t.testdir({}), given, async (scene, { before, after, events, on }) => {
    const client = await begin(scene)
    for (const action of before) await act(scene, client, action)
    const thief: Holder = { ...client, accessToken: undefined }
    for (const { isThief, action } of after) await act(scene, isThief ? thief : client, action)
    for (const event of events) await happen(scene, event)
    // Both use what they receive.
    for (const holder of [client, thief, client]) {
      ;(await refresh(scene, holder, on))()
      await call(scene, holder, on)
      scene.machines.move(scene.grace)
    }
    if (!client.knows) throw new Error('The thief was not noticed')
    ;(await refresh(scene, thief, 1 - on))()
    if (!thief.knows) throw new Error('The thief goes on')
  }), undefined)
})
