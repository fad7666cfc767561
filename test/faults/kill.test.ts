import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import Database from 'better-sqlite3'
import t from 'tap'
import { PASSWORD } from '../helper.js'
import { partsOf } from '../lib/support.js'
import { askMe, askRefresh, askRevoke, askToken, call, claimsOf, launch, logIn, register, serve } from './support.js'
import type { Answer, Service } from './support.js'

// Kills the service with `kill -9` while clients log in, refresh, revoke and log out. Then starts it again, and checks
// everything that it had acknowledged. To run it longer, or to repeat a run:
//   node dist/test/faults/kill.test.js 100
//   LATCHKEY_TEST_SEED=12345 node dist/test/faults/kill.test.js 100
// What the clients do and when they are killed follows from the seed; how the machine interleaves them does not.

const KILLS = Number(process.argv[2] ?? process.env.LATCHKEY_TEST_KILLS ?? 6)
const SEED = Number(process.env.LATCHKEY_TEST_SEED ?? Math.floor(Math.random() * 2 ** 32))
const CLIENTS = 6
/** Live sessions of one client; more are not begun. */
const MOST_SESSIONS = 5
/** How many requests are under way at once while the checks are made. */
const WIDTH = 8

t.jobs = 2
t.setTimeout(120_000 + KILLS * 30_000)

/** Numbers in [0, 1) that are the same for the same seed (mulberry32). */
function createRandom (seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6D2B79F5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

function pick<T> (random: () => number, list: readonly T[]): T | undefined {
  return list[Math.floor(random() * list.length)]
}

/** Runs `work` on each, a few at a time. */
async function forEach<T> (list: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  const rest = [...list]
  await Promise.all(Array.from({ length: WIDTH }, async () => {
    for (let item = rest.pop(); item !== undefined; item = rest.pop()) await work(item)
  }))
}

/** What a client knows of one of its sessions. */
interface Session {
  id: string
  transport: 'body' | 'cookie'
  /**
   * `unknown`: an end was asked for and not answered, or something else was under way beside it. The database settles
   * it.
   */
  state: 'live' | 'ended' | 'unknown'
  /** Every refresh token that was ever received, by generation. */
  refreshTokens: Map<number, string>
  /** The one that was received last, as an honest client has it. */
  current: string
  /** Whether a refresh with `current` got no answer. */
  isUnanswered: boolean
  accessTokens: Map<string, 'live' | 'revoked' | 'unknown'>
}

interface Client {
  username: string
  random: () => number
  sessions: Session[]
}

interface Row {
  generation: number
  ended_at: number | null
}

const figures = {
  kills: 0,
  'of them while it started': 0,
  'logins acknowledged': 0,
  'refreshes acknowledged': 0,
  'access tokens revoked': 0,
  'sessions ended by revocation': 0,
  'sessions ended by logout': 0,
  'replays refused': 0,
  'requests without an answer': 0,
  'unanswered refreshes retried': 0,
  'of them already committed': 0,
  'unanswered ends settled': 0,
  'of them ended': 0,
  'dead tokens presented': 0,
  'live tokens presented': 0,
  violations: 0
}
const violations: string[] = []

function violate (text: string): void {
  figures.violations++
  violations.push(text)
}

function show (answer: Answer | undefined): string {
  return answer === undefined ? 'no answer' : `${answer.status} ${JSON.stringify(answer.body)}`
}

/** Notes the tokens that came with an answer of 200. */
function receive (session: Session, accessToken: string, refreshToken: string): void {
  const generation = partsOf(refreshToken).generation
  const known = session.refreshTokens.get(generation)
  if (known !== undefined && known !== refreshToken) {
    violate(
    `session ${session.id} has two successors of generation ${generation}`
    )
  }
  session.refreshTokens.set(generation, refreshToken)
  session.current = refreshToken
  session.accessTokens.set(accessToken, 'live')
}

/** The tokens of an answer: in its body, or in its cookies. */
function tokensOf ({ body, headers }: Answer): { accessToken: string, refreshToken: string } | undefined {
  if (typeof body?.access_token === 'string') {
    return {
      accessToken: body.access_token, refreshToken: String(body.refresh_token)
    }
  }
  const cookies = headers.getSetCookie().map(cookie => cookie.split(';', 1)[0] ?? '')
  const valueOf = (name: string): string | undefined => cookies.find(
    cookie => cookie.startsWith(`${name}=`)
  )?.slice(name.length + 1)
  const accessToken = valueOf('__Host-access_token')
  const refreshToken = valueOf('__Host-refresh_token')
  return accessToken === undefined || refreshToken === undefined ? undefined : { accessToken, refreshToken }
}

/** Everything that the clients do against one life of the service. */
function createActions (service: Service, answered: () => void) {
  const { url } = service

  async function count (request: Promise<Answer | undefined>): Promise<Answer | undefined> {
    const answer = await request
    if (answer === undefined) {
      figures['requests without an answer']++
      if (!service.hasExited) await service.exited
    } else {
      answered()
      if (answer.status >= 500) violate(`${answer.status} from a healthy store: ${show(answer)}`)
    }
    return answer
  }

  async function logInto (client: Client, transport: Session['transport']): Promise<void> {
    const answer = await count(transport === 'body'
      ? askToken(url, client.username)
      : call(url, '/login', { json: { username: client.username, password: PASSWORD } }))
    const tokens = answer === undefined ? undefined : tokensOf(answer)
    if (answer === undefined || tokens === undefined) {
      if (answer !== undefined && answer.status !== 200) violate(`login: ${show(answer)}`)
      return
    }
    figures['logins acknowledged']++
    const session: Session = {
      id: claimsOf(tokens.accessToken).sid,
      transport,
      state: 'live',
      refreshTokens: new Map(),
      current: '',
      isUnanswered: false,
      accessTokens: new Map()
    }
    receive(session, tokens.accessToken, tokens.refreshToken)
    client.sessions.push(session)
  }

  async function presentCurrent (session: Session, token = session.current): Promise<Answer | undefined> {
    return await count(session.transport === 'body'
      ? askRefresh(url, token)
      : call(url, '/refresh', { headers: { cookie: `__Host-refresh_token=${token}` } }))
  }

  /** Some tabs refresh at once with the same token: all that are answered get the same successor. */
  async function refresh (session: Session, tabs: number): Promise<void> {
    const answers = await Promise.all(Array.from({ length: tabs }, () => presentCurrent(session)))
    for (const answer of answers) {
      const tokens = answer === undefined ? undefined : tokensOf(answer)
      if (answer?.status === 200 && tokens !== undefined) {
        figures['refreshes acknowledged']++
        receive(session, tokens.accessToken, tokens.refreshToken)
      } else if (answer !== undefined && answer.status !== 200 && session.state === 'live') {
        violate(`an honest client was logged out: refresh of ${session.id}: ${show(answer)}`)
      }
    }
    // Whoever has one answer goes on with it; with none the old token is all there is.
    session.isUnanswered = !answers.some(answer => answer?.status === 200 && answer.body !== undefined)
  }

  async function mustBeDead (accessToken: string, why: string): Promise<void> {
    const answer = await count(askMe(url, accessToken))
    if (answer === undefined) return
    figures['dead tokens presented']++
    if (answer.status !== 401 || answer.body?.code !== 'token_revoked') {
      violate(
      `${why}, and its access token gets ${show(answer)}`
      )
    }
  }

  async function revokeAccess (session: Session, accessToken: string): Promise<void> {
    const answer = await count(askRevoke(url, accessToken))
    session.accessTokens.set(accessToken, answer?.status === 200 ? 'revoked' : 'unknown')
    if (answer === undefined) return
    if (answer.status !== 200) return violate(`revoke: ${show(answer)}`)
    figures['access tokens revoked']++
    await mustBeDead(accessToken, 'the token was revoked')
  }

  /** Ends one session, by its refresh token (also one that was rotated away) or by a logout. */
  async function end (client: Client, session: Session): Promise<void> {
    session.state = 'unknown'
    const way = client.random()
    const accessToken = pick(
      client.random, [...session.accessTokens].filter(([, state]) => state === 'live').map(([token]) => token)
    )
    const byRefreshToken = way < 0.5 || (session.transport === 'body' && accessToken === undefined)
    const request = byRefreshToken
      ? askRevoke(url, pick(client.random, [...session.refreshTokens.values()]) ?? '')
      : call(
        url,
        '/logout',
        {
          headers: session.transport === 'cookie'
            ? {
                cookie: `__Host-refresh_token=${session.current}`
              }
            : { authorization: `Bearer ${accessToken}` }
        }
      )
    const answer = await count(request)
    if (answer === undefined) return
    if (answer.status !== (byRefreshToken ? 200 : 204)) return violate(`end of a session: ${show(answer)}`)
    session.state = 'ended'
    figures[byRefreshToken ? 'sessions ended by revocation' : 'sessions ended by logout']++
    const some = pick(client.random, [...session.accessTokens.keys()])
    if (some !== undefined) await mustBeDead(some, 'the session was ended')
  }

  /** Logs out all sessions of the user, or all others, while another of them refreshes and one more begins. */
  async function endMany (client: Client): Promise<void> {
    const live = client.sessions.filter(({ state }) => state === 'live')
    const [speaker, busy, ...idle] = live
    const accessToken = speaker === undefined
      ? undefined
      : [...speaker.accessTokens].find((
          [, state]
        ) => state === 'live')?.[0]
    if (speaker === undefined || accessToken === undefined) return
    const target = client.random() < 0.5 ? 'others' : 'all'
    for (const session of live) session.state = 'unknown'
    const before = client.sessions.length
    const [answer] = await Promise.all([
      count(call(url, '/logout', { headers: { authorization: `Bearer ${accessToken}` }, json: { target } })),
      busy === undefined ? undefined : refresh(busy, 1),
      logInto(client, 'body')
    ])
    for (const session of client.sessions.slice(before)) session.state = 'unknown'
    if (answer === undefined) return
    if (answer.status !== 204) return violate(`logout of ${target}: ${show(answer)}`)
    if (target === 'others') speaker.state = 'live'
    for (const session of [...idle, ...(target === 'all' ? [speaker] : [])]) {
      session.state = 'ended'
      figures['sessions ended by logout']++
      for (const token of session.accessTokens.keys()) await mustBeDead(token, `logout of ${target}`)
    }
  }

  /** One thing that a client does. */
  async function act (client: Client): Promise<void> {
    const { random } = client
    const live = client.sessions.filter(({ state }) => state === 'live')
    const session = pick(random, live)
    const dice = random()
    if (session === undefined || (dice < 0.2 && live.length < MOST_SESSIONS)) {
      return await logInto(
        client, random() < 0.5 ? 'body' : 'cookie'
      )
    }
    if (dice < 0.6) return await refresh(session, 1 + Math.floor(random() * 3))
    const accessToken = pick(
      random, [...session.accessTokens].filter(([, state]) => state === 'live').map(([token]) => token)
    )
    if (dice < 0.8 && accessToken !== undefined) return await revokeAccess(session, accessToken)
    if (dice < 0.95) return await end(client, session)
    await endMany(client)
  }

  return { act, refresh, presentCurrent, mustBeDead, count }
}

type Actions = ReturnType<typeof createActions>

/** Settles against the database what was unknown, and finds rotations that were acknowledged and are lost. */
function settle (session: Session, row: Row | undefined, isRuled: (tokenId: string) => boolean): void {
  if (row === undefined) {
    return violate(
    `the login that began session ${session.id} was acknowledged, and it is not there`
    )
  }
  if (session.state === 'ended' && row.ended_at === null) {
    return violate(
    `session ${session.id} was ended, acknowledged, and is live`
    )
  }
  if (session.state === 'live' && row.ended_at !== null) {
    return violate(
    `session ${session.id} is ended, and nobody asked for it`
    )
  }
  if (session.state === 'unknown') {
    figures['unanswered ends settled']++
    if (row.ended_at !== null) figures['of them ended']++
    session.state = row.ended_at === null ? 'live' : 'ended'
  }
  const latest = Math.max(...session.refreshTokens.keys())
  const most = session.isUnanswered ? latest + 1 : latest
  if (row.generation < latest || row.generation > most) {
    violate(
    `session ${session.id} is at generation ${row.generation}: received ${latest}, unanswered ${session.isUnanswered}`
    )
  }
  for (const [token, state] of session.accessTokens) {
    if (state === 'unknown') session.accessTokens.set(token, isRuled(claimsOf(token).jti) ? 'revoked' : 'live')
  }
}

/** Everything that was ever received for this session is presented: its thieves may have it all. */
async function replayAll (session: Session, actions: Actions): Promise<void> {
  const tokens = [...session.refreshTokens.values()]
  const answers = await Promise.all(tokens.map(token => actions.presentCurrent(session, token)))
  const successors = new Set<string>()
  for (const answer of answers) {
    const received = answer === undefined ? undefined : tokensOf(answer)
    if (answer?.status !== 200 || received === undefined) continue
    if (!tokens.includes(received.refreshToken)) successors.add(received.refreshToken)
    receive(session, received.accessToken, received.refreshToken)
  }
  if (successors.size > 1) violate(`session ${session.id} had ${successors.size} successors at once`)
  session.state = 'ended'
  figures['replays refused'] += answers.filter(answer => answer !== undefined && answer.status !== 200).length
  for (const token of [...tokens, ...successors]) {
    const answer = await actions.presentCurrent(session, token)
    if (answer?.status === 200) violate(`session ${session.id} gives tokens after a replay`)
  }
  for (const token of session.accessTokens.keys()) await actions.mustBeDead(token, 'a replay ended the session')
}

/** After a restart: what was acknowledged before holds. */
async function check (
  service: Service, file: string, clients: readonly Client[], graves: string[], random: () => number
): Promise<void> {
  const actions = createActions(service, () => {})
  // A second reader beside the service: opened while the service was dead it would be we who recover the log.
  const database = new Database(file, { readonly: true })
  const all = clients.flatMap(({ sessions }) => sessions)
  const rows = new Map<string, number>()
  try {
    const integrity = database.pragma('integrity_check', { simple: true })
    if (integrity !== 'ok') violate(`integrity_check says ${String(integrity)}`)
    const find = database.prepare<[string], Row>('select generation, ended_at from latchkey_sessions where id = ?')
    const rule = database.prepare<[string]>("select 1 from latchkey_rules where kind = 'token' and value = ?")
    for (const session of all) {
      const row = find.get(session.id)
      settle(session, row, tokenId => rule.get(tokenId) !== undefined)
      rows.set(session.id, row?.generation ?? 0)
    }
  } finally {
    database.close()
  }

  await forEach(all.filter(({ state }) => state === 'live'), async session => {
    for (const [token, state] of session.accessTokens) {
      if (state === 'revoked') await actions.mustBeDead(token, 'the token was revoked before the restart')
      else {
        const answer = await actions.count(askMe(service.url, token))
        figures['live tokens presented']++
        if (answer?.status !== 200) {
          violate(
          `a login or refresh was acknowledged, and its access token gets ${show(answer)}`
          )
        }
      }
    }
    if (session.isUnanswered) {
      figures['unanswered refreshes retried']++
      if ((rows.get(session.id) ?? 0) > Math.max(
        ...session.refreshTokens.keys()
      )) figures['of them already committed']++
      await actions.refresh(session, 1)
    }
  })
  const longest = all.filter(({ state, refreshTokens }) => state === 'live' && refreshTokens.size > 2)
  const victim = pick(random, longest)
  if (victim !== undefined) await replayAll(victim, actions)

  await forEach(all.filter(({ state }) => state === 'ended'), async session => {
    for (const token of session.accessTokens.keys()) {
      await actions.mustBeDead(token, 'the session was ended before the restart')
      graves.push(token)
    }
    for (const token of new Set([session.current, [...session.refreshTokens.values()][0] ?? ''])) {
      const answer = await actions.presentCurrent(session, token)
      if (answer?.status === 200) {
        violate(
        `session ${session.id} was ended, and a refresh token of it gets ${show(answer)}`
        )
      }
    }
  })
  for (const client of clients) client.sessions = client.sessions.filter(({ state }) => state === 'live')
  // Those of the lives before the last one.
  await forEach(
    Array.from({ length: Math.min(graves.length, 50) }, () => pick(random, graves) ?? ''),
    token => actions.mustBeDead(token, 'it was dead some restarts ago')
  )
  if (service.hasExited) violate(`the service ended by itself: ${service.output.slice(-500)}${service.errors}`)
}

/** The clients at work, until the process is killed: after so many answers, and not in step with any of them. */
async function storm (service: Service, clients: readonly Client[], random: () => number): Promise<void> {
  let left = 1 + Math.floor(random() * 120)
  const pause = random() * 8
  let strike = (): void => {}
  const due = new Promise<void>(resolve => { strike = resolve })
  const actions = createActions(service, () => { if (--left === 0) strike() })
  const working = clients.map(async client => { while (!service.hasExited) await actions.act(client) })
  await due
  await delay(pause)
  service.kill('SIGKILL')
  figures.kills++
  await Promise.all([...working, service.exited])
}

/** What must be the same after every restart. */
async function identity (directory: string): Promise<string> {
  const database = new Database(join(directory, 'latchkey.db'), { readonly: true })
  try {
    const keys = database.prepare('select * from latchkey_keys order by kid').all()
    return JSON.stringify([await readFile(join(directory, 'latchkey.secret'), 'utf8'), keys])
  } finally {
    database.close()
  }
}

t.test(`killed ${KILLS} times under load, it keeps all that it acknowledged (seed ${SEED})`, async t => {
  t.comment(`seed ${SEED}`)
  const random = createRandom(SEED)
  const directory = t.testdir()
  const file = join(directory, 'latchkey.db')
  const clients: Client[] = Array.from(
    { length: CLIENTS },
    (_, index) => ({ username: `client${index}`, random: createRandom(SEED + 1 + index), sessions: [] })
  )
  const graves: string[] = []

  let service = await serve(t, directory)
  for (const { username } of clients) t.equal((await register(service.url, username))?.status, 201)
  const first = await identity(directory)

  while (figures.kills < KILLS && violations.length === 0) {
    await storm(service, clients, random)
    if (figures.kills < KILLS && random() < 0.2) {
      // Killed again before it is there, while it recovers the log and loads the rules.
      const unborn = launch(t, directory)
      await delay(random() * 700)
      unborn.kill('SIGKILL')
      await unborn.exited
      figures.kills++
      figures['of them while it started']++
    }
    service = await serve(t, directory)
    await check(service, file, clients, graves, random)
    if (await identity(directory) !== first) violate('the secret or the keys have changed')
  }
  const actions = createActions(service, () => {})
  await forEach(graves, token => actions.mustBeDead(token, 'it was dead at some restart'))
  for (const { username } of clients) {
    t.equal(
      (await askToken(service.url, username))?.status, 200, `${username} can log in`
    )
  }
  t.equal(service.errors, '')
  t.same(violations, [])
  if (KILLS >= 4) {
    t.ok(
      figures['refreshes acknowledged'] > 0 &&
      figures['sessions ended by logout'] + figures['sessions ended by revocation'] > 0,
      'there was something to check'
    )
  }
  t.comment(Object.entries(figures).map(([name, figure]) => `${name}: ${figure}`).join(', '))
})

t.test(`killed while it starts for the first time, it starts all the same (seed ${SEED})`, async t => {
  const random = createRandom(SEED + 1_000)
  const rounds = Math.max(2, Math.round(KILLS / 4))
  for (let round = 0; round < rounds; round++) {
    const directory = t.testdir({ [`round${round}`]: {} }) + `/round${round}`
    // Past the loading of the modules, where nothing is written yet, and up to the greeting of the first administrator.
    const unborn = launch(t, directory)
    await delay(300 + random() * 450)
    unborn.kill('SIGKILL')
    await unborn.exited
    const service = await serve(t, directory)
    t.equal((await register(service.url, 'alice'))?.status, 201)
    const { access_token: accessToken } = await logIn(service.url, 'alice')
    t.equal((await askMe(service.url, accessToken))?.status, 200)
    const before = await identity(directory)
    service.kill('SIGKILL')
    await service.exited
    const again = await serve(t, directory)
    t.equal((await askMe(again.url, accessToken))?.status, 200)
    t.equal(await identity(directory), before)
    again.kill('SIGKILL')
    await again.exited
  }
})
