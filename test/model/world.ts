import { spawnSync } from 'node:child_process'
import { cpSync, mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import Database from 'better-sqlite3'
import { timeOfId } from '../../lib/identity/ids.js'
import { createWall, DAY, partsOf, SECOND } from '../lib/support.js'
import { claimsOf } from '../routes/support.js'
import { openInstance, passwordOf } from './instance.js'
import type { Instance, Raw, Wallet } from './instance.js'
import { USERS } from './operations.js'
import type { Operation, Setup, Span, Step } from './operations.js'
import { isGood, statesAfter } from './reference.js'
import type { Answer, Exchange, Grant, Request, State, Times } from './reference.js'

/** When every case begins. */
const START = Date.UTC(2026, 10, 3, 12, 0, 0, 250)

/** Sessions are kept for so long after their refresh token expired, at least. */
const KEPT = DAY

interface KnownSession {
  id: string
  /** By generation. */
  refreshTokens: Map<number, string>
}

interface Row {
  generation: number
  ended_at: number | null
}

/** A database with the users and a key in it, from which every case starts: hashing takes longer than a case. */
export async function createTemplate (directory: string): Promise<{ file: string, userIds: readonly string[] }> {
  const file = join(directory, 'template', 'auth.db')
  mkdirSync(join(directory, 'template'))
  const instance = await openInstance({ database: file, now: createWall(START), accessTokenTtl: '60000ms' })
  const userIds: string[] = []
  for (const { username, scopes } of USERS) {
    userIds.push(
      (await instance.app.latchkey.users.add({ username, password: passwordOf(0), scopes })).id
    )
  }
  await instance.close()
  return { file, userIds }
}

type Template = Awaited<ReturnType<typeof createTemplate>>

/**
 * Runs one case against two processes on one database file. Throws, with all that was asked and answered, where the
 * model says no.
 */
export async function runCase (
  template: Template, directory: string, setup: Setup, steps: readonly Step[]
): Promise<void> {
  const world = await createWorld(template, directory, setup)
  try {
    for (const step of steps) await world.take(step)
    await world.conclude()
  } catch (error) {
    throw new Error(
      `${error instanceof Error ? error.message : String(error)}\n${world.transcript.join('\n')}`, { cause: error }
    )
  } finally {
    await world.close()
  }
}

async function createWorld (template: Template, directory: string, setup: Setup) {
  const wall = createWall(START)
  const lifetimes = { idle: setup.refreshIdleTtl, session: setup.sessionTtl, grace: setup.refreshGrace }
  const transcript: string[] = []
  let lives = 0
  let folder = nextFolder()
  cpSync(join(template.file, '..'), folder, { recursive: true })
  let reader = openReader()
  const instances = [await open(setup.accessTokenTtl), await open(setup.accessTokenTtl)]
  /** The latest time that each has told, and that was found in the store. */
  const told = [0, 0]
  let kept = 0

  const sessions: KnownSession[] = []
  const accessTokens: string[] = []
  let passwords = 0
  let states: readonly State[] = [
    { users: USERS.map(({ scopes }) => ({ scopes, isDisabled: false, password: 0 })), sessions: {}, tokens: {} }
  ]

  function nextFolder (): string {
    return join(directory, String(lives++))
  }

  /** The database as a power cut would leave it: nobody has closed anything. */
  function copyOpenDatabase (): string {
    const to = nextFolder()
    // In another process: closing the file here would let go of the locks that SQLite has on it.
    const { status, stderr } = spawnSync('cp', ['-r', folder, to], { encoding: 'utf8' })
    if (status !== 0) throw new Error(stderr)
    rmSync(join(to, 'auth.db-shm'), { force: true })
    return to
  }

  function openReader (): Database.Database {
    return new Database(join(folder, 'auth.db'), { readonly: true })
  }

  async function open (accessTokenTtl: number): Promise<Instance> {
    return await openInstance({
      database: join(folder, 'auth.db'),
      now: wall,
      accessTokenTtl: `${accessTokenTtl}ms`,
      refreshIdleTtl: `${setup.refreshIdleTtl}ms`,
      sessionTtl: `${setup.sessionTtl}ms`,
      refreshGrace: `${setup.refreshGrace}ms`
    })
  }

  function instance (on: number): Instance {
    return instances[on] as Instance
  }

  const wallet: Wallet = {
    accessToken: number => accessTokens[number] as string,
    refreshToken: (session, generation) => sessions[session]?.refreshTokens.get(generation) as string,
    sessionId: session => sessions[session]?.id as string,
    userId: user => template.userIds[user] as string
  }

  /** What is kept in the store: it only grows. */
  function readKept (): number {
    const time = reader.prepare<[], number>("select value from latchkey_meta where name = 'latest_time'").pluck().get() ?? 0
    if (time < kept) throw new Error(`The store has gone back in time, from ${kept} to ${time}`)
    kept = time
    return time
  }

  /** The time of a process: never before the wall clock, never before what it said. */
  function readTime (on: number): number {
    const time = instance(on).now()
    if (time < wall() || time < (told[on] ?? 0)) {
      throw new Error(
      `Process ${on} says ${time}, the wall clock ${wall()}, and it said ${told[on]} before`
      )
    }
    told[on] = time
    return time
  }

  /** The state to choose from: of those that may be, the first. */
  function current (): State {
    return states[0] as State
  }

  function pick<T> (list: readonly T[], fromNewest: number): number | undefined {
    return list.length === 0 ? undefined : list.length - 1 - fromNewest % list.length
  }

  /** A refresh token that was once received, by its session and generation. */
  function pickRefreshToken (session: number, back: number): { session: number, generation: number } | undefined {
    const chosen = pick(sessions, session)
    if (chosen === undefined) return undefined
    const generations = [...sessions[chosen]?.refreshTokens.keys() ?? []].sort((a, b) => a - b)
    return { session: chosen, generation: generations[Math.max(0, generations.length - 1 - back)] as number }
  }

  function userOf (token: number): number {
    const { session } = current().tokens[token] as State['tokens'][number]
    return current().sessions[session]?.user as number
  }

  /** The operation with what there is now; undefined where there is nothing to do it with. */
  function resolve (operation: Operation): Request | undefined {
    const { on } = operation
    const passwordOfUser = (user: number): number => current().users[user]?.password as number
    switch (operation.do) {
      case 'log in': return {
        on,
        ask: 'log in',
        user: operation.user,
        password: operation.isRight ? passwordOfUser(operation.user) : -1,
        scope: operation.scope,
        way: operation.way
      }
      case 'set the password': return { on, ask: 'set the password', user: operation.user, password: ++passwords }
      case 'set the scopes': return { on, ask: 'set the scopes', user: operation.user, scopes: operation.scopes }
      case 'enable':
      case 'disable': return { on, ask: operation.do, user: operation.user }
      case 'refresh':
      case 'revoke a session':
      case 'log out by cookie': {
        const chosen = pickRefreshToken(operation.session, operation.back)
        if (chosen === undefined) return undefined
        if (operation.do === 'refresh') {
          return {
            on, ask: 'refresh', ...chosen, scope: operation.scope, way: operation.way
          }
        }
        return operation.do === 'revoke a session'
          ? { on, ask: 'revoke a session', ...chosen }
          : {
              on, ask: 'log out by cookie', ...chosen, target: operation.target
            }
      }
    }
    const token = pick(accessTokens, operation.token)
    if (token === undefined) return undefined
    switch (operation.do) {
      case 'call': return { on, ask: 'call', token, needs: operation.needs }
      case 'revoke a token': return { on, ask: 'revoke a token', token }
      case 'log out': return { on, ask: 'log out', token, target: operation.target }
      case 'end a session': return {
        on, ask: 'end a session', token, session: pick(sessions, operation.session) as number
      }
      case 'change the password': return {
        on,
        ask: 'change the password',
        token,
        current: operation.isRight ? passwordOfUser(userOf(token)) : -1,
        password: ++passwords
      }
    }
  }

  /** Gives what was handed out its numbers, and looks at it as a client cannot. */
  function toAnswer ({ outcome, tokens }: Raw, on: number): Answer {
    if (tokens === undefined) return { outcome }
    const claims = claimsOf(tokens.accessToken) as {
      sub: string, sid: string, jti: string, iat: number, exp: number, scope: string
    }
    const parts = partsOf(tokens.refreshToken)
    if (parts.sessionId !== claims.sid) throw new Error('The two tokens of one answer are of different sessions')
    let session = sessions.findIndex(({ id }) => id === claims.sid)
    if (session === -1) session = sessions.push({ id: claims.sid, refreshTokens: new Map() }) - 1
    const { refreshTokens } = sessions[session] as KnownSession
    const known = refreshTokens.get(parts.generation)
    if (known !== undefined && known !== tokens.refreshToken) {
      throw new Error(
      `Session ${session} has two successors of generation ${parts.generation - 1}`
      )
    }
    refreshTokens.set(parts.generation, tokens.refreshToken)
    if (accessTokens.some(
      token => claimsOf(token).jti === claims.jti
    )) throw new Error('An access token has the jti of another')
    const issuedAt = timeOfId(claims.jti) ?? -1
    if (claims.iat !== Math.floor(
      issuedAt / SECOND
    ) || claims.exp !== claims.iat + instance(on).accessTokenTtl / SECOND) {
      throw new Error(
      `A token lives from ${claims.iat} (${issuedAt}) to ${claims.exp}`
      )
    }
    const grant: Grant = {
      user: template.userIds.indexOf(claims.sub),
      session,
      generation: parts.generation,
      token: accessTokens.push(tokens.accessToken) - 1,
      scopes: claims.scope.split(' ').filter(name => name !== ''),
      issuedAt,
      expiresAt: claims.exp * SECOND
    }
    return { outcome, grant }
  }

  /** The times by which requests that are under way together may be judged. */
  function timesOf (requests: readonly Request[]): (on: number) => Times {
    const inStore = readKept()
    const now = new Map([...new Set(requests.map(({ on }) => on))].map(on => [on, Math.max(readTime(on), inStore)]))
    // A rule for a user takes the next millisecond, so that what comes after it is later.
    const latest = Math.max(...now.values()) + (requests.length > 1 ? requests.length : 0)
    return on => ({ earliest: now.get(on) as number, latest })
  }

  /** Starts them all before the first has an answer. */
  async function ask (requests: readonly Request[]): Promise<void> {
    const times = timesOf(requests)
    const raw = await Promise.all(requests.map(request => instance(request.on).perform(request, wallet)))
    const exchanges: Exchange[] = requests.map(
      (request, index) => ({ request, answer: toAnswer(raw[index] as Raw, request.on), times: times(request.on) })
    )
    for (const { request, answer, times } of exchanges) {
      const { on, ask, ...rest } = request
      transcript.push(
        `${requests.length > 1
          ? 'at once: '
          : ''}process ${on}: ${ask} ${JSON.stringify(rest)} at ${show(times)} -> ${JSON.stringify(answer)}`
      )
    }
    const before = states
    states = statesAfter(states, exchanges, lifetimes)
    if (states.length === 0) throw new Error(`The last answer cannot be. The model was: ${JSON.stringify(before[0])}`)
  }

  function show ({ earliest, latest }: Times): string {
    return `${earliest - START}${latest === earliest ? '' : `..${latest - START}`} ms`
  }

  /** Presents every access token that there ever was, and the current refresh token of each session. */
  async function look (on: number): Promise<void> {
    const time = Math.max(readKept(), readTime(on))
    const tokenStates = await Promise.all(accessTokens.map(token => instance(on).verify(token)))
    const sessionStates = await Promise.all(sessions.map((
      { refreshTokens }
    ) => instance(on).identify([...refreshTokens.values()].at(-1) as string)))
    const wrongIn = (state: State): string[] => [
      ...tokenStates.flatMap((verdict, token) => {
        const isLive = isGood(state, token, time)
        return isLive === (verdict === 'live') &&
          (isLive || verdict === 'token_revoked' || verdict === 'token_expired')
          ? []
          : [
          `token ${token} should be ${isLive ? 'live' : 'dead'} and is: ${verdict}`
            ]
      }),
      ...sessionStates.flatMap((isKnown, number) => {
        const { isEnded, idleUntil, until } = state.sessions[number] as State['sessions'][number]
        const isLive = !isEnded && time < idleUntil && time < until
        return isLive === isKnown ? [] : [`session ${number} should be ${isLive ? 'live' : 'over'} and is not`]
      })
    ]
    const wrong = states.map(wrongIn)
    states = states.filter((_, index) => wrong[index]?.length === 0)
    if (states.length === 0) throw new Error(`Process ${on} at ${time - START} ms: ${wrong[0]?.join(', ')}`)
  }

  function lengthOf ({ of, plus }: Span): number {
    return Math.max(
      0, (of === 'nothing' ? 0 : of === 'second' ? SECOND : of === 'day' ? DAY + SECOND : setup[of]) + plus
    )
  }

  function moveClock (milliseconds: number): void {
    wall.move(milliseconds)
    transcript.push(`the wall clock is at ${wall() - START} ms`)
  }

  async function purge (on: number): Promise<void> {
    await instance(on).purge()
    transcript.push(`process ${on} has purged`)
  }

  async function watch (on: number): Promise<void> {
    if (setup.watch === 'nobody') return
    await look(on)
    if (setup.watch === 'both') await look(1 - on)
  }

  /** One row for each session, as the model has it; gone only where it was over for long enough. */
  function inspect (): void {
    const find = reader.prepare<[string], Row>('select generation, ended_at from latchkey_sessions where id = ?')
    const time = readKept()
    const isRight = ({ sessions: expected }: State): boolean => sessions.every(({ id }, number) => {
      const row = find.get(id)
      const { generation, isEnded, idleUntil } = expected[number] as State['sessions'][number]
      if (row === undefined) return idleUntil + KEPT < time
      // What the store itself takes for expired need not be ended too.
      return row.generation === generation && (row.ended_at === null ? !isEnded || idleUntil <= time : isEnded)
    })
    if (!states.some(isRight)) {
      throw new Error(
      `The rows of the sessions are ${JSON.stringify(sessions.map(({ id }) => find.get(id)))}`
      )
    }
    const rows = reader.prepare<[], number>('select count(*) from latchkey_sessions').pluck().get() ?? 0
    if (rows > sessions.length) throw new Error(`There are ${rows} sessions and ${sessions.length} logins`)
  }

  return {
    transcript,

    async take (step: Step): Promise<void> {
      switch (step.do) {
        case 'wait':
        case 'set the clock back': {
          return moveClock(step.do === 'wait' ? lengthOf(step.span) : -lengthOf(step.span))
        }
        case 'while the clock is wrong': {
          moveClock(lengthOf(step.span))
          const request = resolve(step.operation)
          if (request !== undefined) await ask([request])
          if (step.purges) await purge(step.operation.on)
          return moveClock(-lengthOf(step.span))
        }
        case 'restart': {
          await instance(step.on).close()
          instances[step.on] = await open(step.accessTokenTtl ?? instance(step.on).accessTokenTtl)
          transcript.push(`process ${step.on} was restarted, its tokens live ${instance(step.on).accessTokenTtl} ms`)
          told[step.on] = readKept()
          return await watch(step.on)
        }
        case 'crash': {
          const next = copyOpenDatabase()
          await closeAll()
          folder = next
          reader = openReader()
          for (const on of [0, 1]) {
            instances[on] = await open(instance(on).accessTokenTtl)
            told[on] = readKept()
          }
          transcript.push('both processes were killed, and started again')
          return await watch(0)
        }
        case 'purge':
          await purge(step.on)
          return await watch(step.on)
        case 'go on': {
          const login: Operation = {
            do: 'log in', on: step.on, user: step.user, isRight: true, scope: undefined, way: 'token'
          }
          const refresh: Operation = {
            do: 'refresh', on: 1 - step.on, session: 0, back: 0, scope: undefined, way: 'token'
          }
          for (const operation of [login, ...Array.from({ length: step.refreshes }, () => refresh)]) {
            const request = resolve(operation)
            if (request !== undefined) await ask([request])
          }
          return await watch(step.on)
        }
        case 'at once': {
          const requests = step.operations.map(resolve).filter(request => request !== undefined)
          if (requests.length === 0) return
          await ask(requests)
          return await watch(requests[0]?.on ?? 0)
        }
        default: {
          const request = resolve(step)
          if (request === undefined) return
          await ask([request])
          return await watch(request.on)
        }
      }
    },

    /** What must be true at the end: of every token in both processes, of the rows, and that who is honest goes on. */
    async conclude (): Promise<void> {
      for (const on of [0, 1, 0]) await look(on)
      inspect()
      for (const [session, { refreshTokens }] of sessions.entries()) {
        await ask([
          { on: session % 2, ask: 'refresh', session, generation: Math.max(...refreshTokens.keys()), way: 'token' }
        ])
      }
      for (const on of [0, 1]) await look(on)
      inspect()
    },

    close: closeAll
  }

  async function closeAll (): Promise<void> {
    reader.close()
    await Promise.all(instances.map(instance => instance.close()))
    rmSync(folder, { recursive: true, force: true })
  }
}
