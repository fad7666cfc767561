import { setTimeout as delay } from 'node:timers/promises'
import t from 'tap'
import { askRefresh, askRevoke, askToken, call, logIn, register } from '../faults/support.js'
import type { Answer, Service } from '../faults/support.js'
import { bearer, PASSWORD } from '../helper.js'
import type { TokenBody } from '../helper.js'
import { BOUND, isYes, logInWith, look, lookUntil, makeDatabase, must, readiness, startNode, until } from './nodes.js'
import { createLink } from './proxy.js'
import { startPostgres } from './server.js'

// The database is cut off, and dies, while nodes serve. Nothing acknowledged is lost, nothing unknown is taken for a
// yes, and nobody restarts a node.

t.setTimeout(180_000)

t.test('a node that is cut off says 503 after the bound, and knows all when it is back', async t => {
  const database = await makeDatabase()
  const link = await createLink(t, database)
  const [near, far] = await Promise.all([startNode(t, database), startNode(t, link.url)]) as [Service, Service]
  await must(201, register(near.url, 'alice'))
  const admin = /password {2}(\S+)/.exec(near.output + far.output)?.[1] ?? ''
  const { access_token: operator } = await logInWith(near.url, 'admin', admin)
  const ageByMetric = async (): Promise<number> => {
    const text = await (await fetch(`${far.url}/metrics`, { headers: bearer(operator) })).text()
    return Number(/^latchkey_revocation_index_age_seconds (\S+)$/m.exec(text)?.[1])
  }
  const kept = await logIn(near.url, 'alice')
  const { access_token: revoked } = await logIn(near.url, 'alice')
  const ended = await logIn(near.url, 'alice')
  for (const token of [kept.access_token, revoked, ended.access_token]) t.ok(isYes(await look(far.url, token)))
  t.equal(await readiness(far.url), 200)
  t.ok(await ageByMetric() <= BOUND / 1_000)

  for (const [round, token] of [revoked, ended.access_token].entries()) {
    link.cut()
    const cutAt = performance.now()
    // A login needs the database: it is answered all the same.
    const login = call(far.url, '/token', { form: { grant_type: 'password', username: 'alice', password: PASSWORD } })
    await must(200, askRevoke(near.url, round === 0 ? revoked : ended.refresh_token))
    const looks = (await Promise.all([kept.access_token, token].map(
      one => lookUntil(far.url, one, ({ asked }) => asked > cutAt + 2 * BOUND)
    ))).flat()
    const late = looks.filter(({ asked }) => asked > cutAt + BOUND)
    t.ok(late.length > 0)
    t.same(
      late.filter(({ status, code }) => status !== 503 || code !== 'revocation_unknown'), [],
      'nothing but 503 after the bound'
    )
    // It asks for no longer than the bound; the rest is for a machine that is busy.
    t.ok(Math.max(...looks.map(({ asked, answered }) => answered - asked)) < 5 * BOUND, 'each answered soon')

    const ready = await fetch(`${far.url}/health/ready`)
    t.equal(ready.status, 503)
    const { detail } = await ready.json() as { detail: string }
    const age = Number(/last complete ([\d.]+) seconds ago/.exec(detail)?.[1])
    t.ok(
      age > BOUND / 1_000 && age <= (performance.now() - cutAt) / 1_000 + 1,
      `it says how old what it knows is: ${detail}`
    )
    t.equal((await fetch(`${far.url}/health/live`)).status, 200)
    const unanswered = await login
    t.equal(unanswered?.status, 503, 'a login is told to come back')
    t.ok((unanswered?.milliseconds ?? Infinity) < 20_000, 'and not left hanging')

    if (round === 1) link.reset()
    link.restore()
    const [dead, alive] = await Promise.all([
      lookUntil(far.url, token, ({ status }) => status === 401), lookUntil(far.url, kept.access_token, isYes)
    ])
    t.notOk(dead.some(isYes), 'what was revoked meanwhile is refused from the first')
    t.comment(
      `${round === 0
        ? 'the bytes flow again'
        : 'the connections are reset'}: served again after ${((alive.at(
          -1
        )?.answered ?? 0) - (dead[0]?.asked ?? 0)).toFixed(0)} ms`
    )
    await until('ready again', async () => await readiness(far.url) === 200)
    t.equal((await look(far.url, token)).status, 401)
    t.ok(await ageByMetric() <= BOUND / 1_000)
    await must(
      200, call(far.url, '/token', { form: { grant_type: 'password', username: 'alice', password: PASSWORD } })
    )
  }
  for (const { errors } of [near, far]) t.equal(errors, '', 'no warning of a leak either')
})

/** What a client knows of one of its sessions. Unknown is what was asked for and not acknowledged. */
interface Session {
  state: 'live' | 'ended' | 'unknown'
  /** The last that was received. */
  refreshToken: string
  accessTokens: Map<string, 'live' | 'revoked' | 'unknown'>
}

/** Clients that log in, refresh, revoke and log out until they are stopped, each request at another node. */
function createLoad (nodes: readonly Service[]) {
  const violations: string[] = []
  const sessions: Session[] = []
  const counts = { logins: 0, refreshes: 0, 'tokens revoked': 0, 'sessions ended': 0, 'told to come back': 0 }
  let isStopped = false
  let turn = 0

  const nextUrl = (): string => nodes[turn++ % nodes.length]?.url ?? ''

  /** The answer: of this status, or undefined for a 503. */
  async function ask (
    name: string, status: number, send: (url: string) => Promise<Answer | undefined>
  ): Promise<Answer | undefined> {
    const answer = await send(nextUrl())
    if (answer?.status === status) return answer
    if (answer?.status === 503) counts['told to come back']++
    else violations.push(`${name}: ${answer?.status} ${JSON.stringify(answer?.body)}`)
    return undefined
  }

  async function retry (
    name: string, send: (url: string) => Promise<Answer | undefined>
  ): Promise<TokenBody | undefined> {
    const deadline = performance.now() + 60_000
    while (violations.length === 0) {
      const answer = await ask(name, 200, send)
      if (answer !== undefined) return answer.body as unknown as TokenBody
      if (performance.now() > deadline) violations.push(`${name}: no answer but 503 for a minute`)
      await delay(50)
    }
    return undefined
  }

  async function begin (username: string): Promise<Session | undefined> {
    const tokens = await retry('login', url => askToken(url, username))
    if (tokens === undefined) return undefined
    counts.logins++
    const session: Session = {
      state: 'live', refreshToken: tokens.refresh_token, accessTokens: new Map([[tokens.access_token, 'live']])
    }
    sessions.push(session)
    return session
  }

  /** Two tabs of an honest client, each of which tries until it gets an answer: the same one. */
  async function refresh (session: Session): Promise<void> {
    const { refreshToken } = session
    const tabs = await Promise.all(Array.from(
      { length: 2 }, () => retry('refresh', url => askRefresh(url, refreshToken))
    ))
    for (const tokens of tabs) {
      if (tokens === undefined) return
      counts.refreshes++
      session.refreshToken = tokens.refresh_token
      session.accessTokens.set(tokens.access_token, 'live')
    }
    if (new Set(tabs.map(
      tokens => tokens?.refresh_token
    )).size > 1) violations.push('a refresh token has two successors')
  }

  async function revoke (session: Session): Promise<void> {
    const [token = ''] = session.accessTokens.keys()
    session.accessTokens.set(token, 'unknown')
    if (await ask('revoke', 200, url => askRevoke(url, token)) === undefined) return
    session.accessTokens.set(token, 'revoked')
    counts['tokens revoked']++
  }

  async function end (session: Session): Promise<void> {
    const [token = ''] = [...session.accessTokens.keys()].slice(-1)
    session.state = 'unknown'
    const answer = sessions.length % 2 === 0
      ? await ask('logout', 204, url => call(url, '/logout', { headers: bearer(token) }))
      : await ask('revoke a session', 200, url => askRevoke(url, session.refreshToken))
    if (answer === undefined) return
    session.state = 'ended'
    counts['sessions ended']++
  }

  async function work (username: string): Promise<void> {
    for (;;) {
      if (isStopped || violations.length > 0) return
      const session = await begin(username)
      if (session === undefined) return
      await refresh(session)
      await refresh(session)
      await revoke(session)
      if (sessions.length % 3 !== 0) await end(session)
      await delay(20)
    }
  }

  async function check (): Promise<void> {
    for (const { state, refreshToken, accessTokens } of sessions) {
      if (state === 'unknown') continue
      for (const [token, of] of accessTokens) {
        if (of === 'unknown') continue
        const isDead = state === 'ended' || of === 'revoked'
        for (const { url } of nodes) {
          const answer = await look(url, token)
          if (isDead ? answer.status !== 401 : !isYes(answer)) {
            violations.push(
            `an access token of a session that is ${state}, itself ${of}: ${answer.status} ${answer.code}`
            )
          }
        }
      }
      const refreshed = await askRefresh(nextUrl(), refreshToken)
      if (refreshed?.status !== (state === 'live' ? 200 : 400)) {
        violations.push(
        `a refresh of a session that is ${state}: ${refreshed?.status}`
        )
      }
    }
  }

  return { violations, sessions, counts, work, check, stop () { isStopped = true } }
}

t.test('a database that dies under load and comes back has kept all that was acknowledged, and no client notices more than a 503', async t => {
  const server = await startPostgres()
  t.teardown(() => server.stop())
  const nodes = await Promise.all([startNode(t, server.url), startNode(t, server.url)])
  const load = createLoad(nodes)
  const usernames = ['one', 'two', 'three', 'four']
  for (const username of usernames) await must(201, register(nodes[0]?.url ?? '', username))
  const working = usernames.map(username => load.work(username))

  // Long enough for a dozen attempts to listen again: what they would leave behind is told of on standard error.
  for (const downtime of [300, 3_500]) {
    const before = load.counts.refreshes
    await until('work', async () => load.counts.refreshes > before + 60 || load.violations.length > 0)
    await server.crash()
    await delay(downtime)
    await server.start()
    for (const { url } of nodes) await until('ready again', async () => await readiness(url) === 200)
  }
  const before = load.counts.refreshes
  await until('work', async () => load.counts.refreshes > before + 60 || load.violations.length > 0)
  load.stop()
  await Promise.all(working)
  await delay(BOUND)
  await load.check()
  t.same(load.violations, [])
  t.ok(load.counts['told to come back'] > 0, 'it was noticed')
  t.ok(load.counts['tokens revoked'] > 0 && load.counts['sessions ended'] > 0)
  t.comment(Object.entries(load.counts).map(([name, count]) => `${name}: ${count}`).join(', '))
  for (const { errors, hasExited } of nodes) {
    t.equal(errors, '')
    t.notOk(hasExited)
  }
})
