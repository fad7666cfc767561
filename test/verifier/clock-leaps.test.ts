import fc from 'fast-check'
import t from 'tap'
import type { Test } from 'tap'
import { createId } from '../../lib/identity/ids.js'
import type { SigningKey } from '../../lib/keys/material.js'
import { createRevocationFeed } from '../../lib/revocation-feed/feed.js'
import type { RevocationFeed } from '../../lib/revocation-feed/feed.js'
import { FEED_LIMITS } from '../../lib/revocation-feed/stream-limits.js'
import { readStoreId } from '../../lib/store/meta.js'
import type { Tokens } from '../../lib/tokens/tokens.js'
import type { Verifier } from '../../verifier/index.js'
import { createFixedKeyring, createJwtKey, createWorld, DAY, HOUR, MINUTE, signJws } from '../lib/support.js'
import type { World } from '../lib/support.js'
import { SEED } from '../model/seed.js'
import { revokeToken } from '../revoke-token.js'
import { build, generateKey, outcomeOf, until } from './support.js'

// The clock of the feed leaps ahead and back, rules are purged at any time, streams end and verifiers start. No
// verifier accepts a revoked token, and all accept the good ones. There are no sockets: `fetch` reads the feed.
//   LATCHKEY_TEST_SEED=random LATCHKEY_TEST_RUNS=500 node dist/test/verifier/clock-leaps.test.js

const RUNS = Number(process.env.LATCHKEY_TEST_RUNS ?? 15)
const TTL = 15 * MINUTE
const ISSUER = 'https://auth.example.com'

t.setTimeout(60_000 + RUNS * 4_000)

interface IssuedToken { text: string, id: string, date: number, iat: number, exp: number, isRevoked: boolean }

/** A service whose clock leaps, and the verifiers that follow it. */
interface Scene {
  world: World
  key: SigningKey
  feed: RevocationFeed
  /** How far the clock of the service is off. */
  offset: number
  horizon: number
  now (): number
  tokens: IssuedToken[]
  verifiers: Verifier[]
  fetch: typeof globalThis.fetch
  endStreams (): void
  /** How many states were sent. */
  states: number
}

async function createScene (t: Test): Promise<Scene> {
  const world = await createWorld(t)
  const key = await generateKey()
  const open = new Set<{ close (): void }>()
  const scene: Scene = {
    world,
    key,
    offset: 0,
    horizon: 0,
    now: () => world.wall() + scene.offset,
    tokens: [],
    verifiers: [],
    states: 0,
    fetch: async (url, init) => await answer(scene, open, String(url), init ?? {}),
    endStreams () { for (const stream of open) stream.close() },
    feed: createRevocationFeed({
      ...world,
      clock: { now: () => scene.now() },
      readHorizon: async () => scene.horizon,
      storeId: await readStoreId(world.store, 36),
      keyring: createFixedKeyring([createJwtKey(key)]),
      tokens: { verify: () => ({ scopes: ['revocations:read'] }) } as unknown as Tokens,
      stopwatch: () => performance.now(),
      log: { warn () {}, info () {} },
      limits: { ...FEED_LIMITS, heartbeat: 10 }
    })
  }
  return scene
}

async function answer (
  scene: Scene, open: Set<{ close (): void }>, url: string, { headers, signal }: RequestInit
): Promise<Response> {
  const { feed, key } = scene
  const endpoint = (name: string): string => `${ISSUER}/${name}`
  switch (url.slice(ISSUER.length)) {
    case '/jwks': return Response.json({ keys: [key.jwk] })
    case '/token': return Response.json({ access_token: 'a', token_type: 'bearer', expires_in: 900 })
    case '/revocations': break
    default: return Response.json({
      issuer: ISSUER,
      jwks_uri: endpoint('jwks'),
      token_endpoint: endpoint('token'),
      revocation_feed_endpoint: endpoint('revocations')
    })
  }
  const after = new Headers(headers).get('last-event-id') ?? undefined
  const stream = feed.open({
    after, arrivedAt: performance.now(), token: '', owner: 'one', onEnd () { open.delete(stream) }
  })
  open.add(stream)
  signal?.addEventListener('abort', stream.close)
  const body = new ReadableStream<Uint8Array>({
    async pull (controller) {
      const event = await stream.next()
      if (event === undefined) return controller.close()
      if (event.event === 'state') scene.states++
      const id = event.id === undefined ? '' : `id: ${event.id}\n`
      controller.enqueue(new TextEncoder().encode(`event: ${event.event}\n${id}data: ${event.data}\n\n`))
    },
    cancel: stream.close
  })
  return new Response(body, { headers: { 'content-type': 'text/event-stream' } })
}

type Step = { do: 'leap' | 'pass' | 'purge', by: number } | { do: 'issue' | 'revoke' | 'reconnect' | 'newcomer' }

const steps: fc.Arbitrary<Step> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ do: fc.constant('issue' as const) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('revoke' as const) }) },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('leap' as const),
      by: fc.constantFrom(0, 0, 0, -10 * MINUTE, -HOUR, -DAY, 10 * MINUTE, 2 * DAY, 30 * DAY, 400 * DAY)
    })
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('pass' as const), by: fc.constantFrom(MINUTE, 10 * MINUTE, HOUR, 2 * DAY)
    })
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('purge' as const), by: fc.constantFrom(0, MINUTE, 30 * MINUTE, DAY)
    })
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('reconnect' as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('newcomer' as const) }) }
)

async function run (t: Test, scene: Scene, step: Step): Promise<void> {
  const { world, tokens, key } = scene
  switch (step.do) {
    case 'leap': scene.offset = step.by; break
    case 'pass': world.wall.move(step.by); break
    case 'reconnect': scene.endStreams(); break
    case 'newcomer': scene.verifiers.push(startVerifier(t, scene)); break
    case 'issue': {
      const iat = Math.floor(scene.now() / 1_000)
      // As the service does it: after the clock was set back, a token is dated at the horizon.
      const date = Math.max(iat * 1_000, scene.horizon)
      const [id, exp] = [createId(date), iat + TTL / 1_000]
      const text = signJws(key, { alg: key.algorithm, typ: 'at+jwt', kid: key.kid }, {
        iss: ISSUER, aud: ISSUER, sub: 'alice', client_id: 'latchkey', scope: '', sid: 'session', jti: id, iat, exp
      })
      tokens.push({ text, id, date, iat: iat * 1_000, exp: exp * 1_000, isRevoked: false })
      break
    }
    case 'revoke': {
      const token = tokens.find(({ isRevoked }) => !isRevoked)
      if (token === undefined) break
      await revokeToken(world.revocations, token.id, Math.max(token.exp, scene.horizon))
      token.isRevoked = true
      break
    }
    case 'purge': {
      // As the ledger does it: the horizon is durable, and only grows.
      scene.horizon = Math.max(scene.horizon, scene.now() - step.by)
      await world.store.transaction(
        trx => trx.deleteFrom('latchkey_rules').where('expires_at', '<', scene.horizon).execute()
      )
    }
  }
}

function startVerifier (t: Test, { fetch }: Scene): Verifier {
  return build(t, { issuer: ISSUER, fetch }).verifier
}

/** A leap ahead and back after a revocation, which random steps seldom make. */
const EXAMPLES: Array<[Step[]]> = [[[
  { do: 'issue' }, { do: 'issue' }, { do: 'revoke' }, { do: 'leap', by: 30 * DAY }, { do: 'leap', by: 0 }
]]]

/** Fails if it is still not so when a verifier had time to reconnect several times. */
async function expectSoon (what: string, condition: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = performance.now() + 10_000
  await until(async () => {
    if (performance.now() > deadline) throw new Error(`It does not come: ${what}`)
    return await condition()
  })
}

/** Compares each verifier with what must be so, after every stream has sent the states that follow the step. */
async function check (scene: Scene): Promise<void> {
  const { tokens, verifiers, now, horizon } = scene
  const enough = scene.states + 3 * verifiers.length
  await expectSoon('states', () => scene.states >= enough)
  for (const verifier of verifiers) {
    for (const { text, date, iat, exp, isRevoked } of tokens) {
      const isBehind = exp <= horizon && date < horizon
      const isGood = !isRevoked && iat <= now() && exp > now() + MINUTE && !isBehind
      const isDead = isRevoked || exp <= now() || isBehind
      if (isGood) await expectSoon('a yes', async () => await outcomeOf(verifier, text) === 'alice')
      else if (isDead) await expectSoon('a no', async () => await outcomeOf(verifier, text) !== 'alice')
    }
  }
}

/** Fails if a token is accepted that was revoked before. */
async function expectNoRevoked ({ verifiers }: Scene, revoked: readonly IssuedToken[]): Promise<void> {
  for (const verifier of verifiers) {
    for (const { text, id } of revoked) {
      if (await outcomeOf(verifier, text) === 'alice') throw new Error(`The revoked token ${id} is accepted again`)
    }
  }
}

t.test(`the clock of the service leaps in any way: nothing revoked comes back, and what is good is accepted (seed ${SEED}, ${RUNS} runs)`, async t => {
  const alive = setInterval(() => {}, HOUR) // The feed's own timers keep no process running.
  t.teardown(() => clearInterval(alive))
  const details = await fc.check(fc.asyncProperty(fc.array(steps, { maxLength: 25, size: 'max' }), async steps => {
    const scene = await createScene(t)
    try {
      scene.verifiers.push(startVerifier(t, scene))
      for (const step of steps) {
        // What every verifier has refused must stay refused from now on, at each moment.
        const revoked = scene.tokens.filter(({ isRevoked }) => isRevoked)
        await run(t, scene, step)
        const over = new AbortController()
        const watching = (async () => {
          while (!over.signal.aborted) {
            await expectNoRevoked(scene, revoked)
            await new Promise(resolve => setImmediate(resolve))
          }
        })()
        await Promise.race([check(scene), watching]).finally(() => over.abort())
        await watching
      }
    } finally {
      for (const verifier of scene.verifiers) verifier.close()
      scene.feed.close()
    }
  }), { seed: SEED, numRuns: RUNS, examples: EXAMPLES })
  if (details.failed) t.fail(String(await fc.asyncDefaultReportMessage(details)))
  t.equal(details.numRuns, RUNS)
})
