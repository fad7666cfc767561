import { timeOfId } from '../../lib/identity/ids.js'
import type { SessionRow } from '../../lib/sessions/rows.js'
import { ON_POSTGRES } from '../helper.js'
import { DAY, MINUTE, partsOf, SECOND } from '../lib/support.js'
import { claimsOf } from '../routes/support.js'
import type { Raw, Wallet } from './instance.js'
import { START, startMachines } from './machines.js'
import type { CreateDatabase } from './machines.js'
import { USERS } from './operations.js'
import type { Operation, Setup, Span, Step } from './operations.js'
import { purged, reasonsAgainst, statesAfter, withKnown } from './reference.js'
import type { Answer, Exchange, Grant, Request, State, Times } from './reference.js'

/** What was over for so long can be deleted. */
const KEPT = DAY

/** The longest pause between two looks at the time after which it still counts as steady. */
const LONGEST_GAP = 5 * MINUTE

/** How far ahead of a clock the `iat` of a token may be. */
const TOLERANCE = 5

interface KnownSession {
  id: string
  /** By generation. */
  refreshTokens: Map<number, string>
}

/**
 * Runs one case against two processes on one database. Throws what was asked and answered if the model disagrees.
 */
export async function runCase (
  createDatabase: CreateDatabase, directory: string, setup: Setup, steps: readonly Step[]
): Promise<void> {
  const world = await createWorld(createDatabase, directory, setup)
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

async function createWorld (createDatabase: CreateDatabase, directory: string, setup: Setup) {
  const lifetimes = { idle: setup.refreshIdleTtl, session: setup.sessionTtl, grace: setup.refreshGrace }
  const transcript: string[] = []
  const machines = await startMachines(createDatabase, directory, setup)
  const { instance, userIds } = machines
  let longestTtl = setup.accessTokenTtl
  /** No token has a later date. */
  let latestDate = 0
  /** The last look at the time, in milliseconds, if the time was steady then. */
  let steadyAt: number | undefined

  const sessions: KnownSession[] = []
  const accessTokens: string[] = []
  let passwords = 0
  let states: readonly State[] = [{
    users: USERS.map(({ scopes }) => ({ scopes, isDisabled: false, password: 0 })), sessions: {}, tokens: {}, horizon: 0
  }]

  const wallet: Wallet = {
    accessToken: number => accessTokens[number] as string,
    refreshToken: (session, generation) => sessions[session]?.refreshTokens.get(generation) as string,
    sessionId: session => sessions[session]?.id as string,
    userId: user => userIds[user] as string
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
  function toAnswer ({ outcome, tokens }: Raw, on: number, times: Times): Answer {
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
    if (!mayHaveDates(claims, issuedAt, times) || claims.exp !== claims.iat + instance(on).accessTokenTtl / SECOND) {
      throw new Error(`A token of ${show(times)} lives from ${claims.iat} (${issuedAt}) to ${claims.exp}`)
    }
    const grant: Grant = {
      user: userIds.indexOf(claims.sub),
      session,
      generation: parts.generation,
      token: accessTokens.push(tokens.accessToken) - 1,
      scopes: claims.scope.split(' ').filter(name => name !== ''),
      issuedAt,
      startsAt: (claims.iat - TOLERANCE) * SECOND,
      expiresAt: claims.exp * SECOND
    }
    return { outcome, grant }
  }

  /** Whether a token has these dates at one of these times. Its `iat` is the present if its `jti` is far ahead. */
  function mayHaveDates ({ iat }: { iat: number }, issuedAt: number, { earliest, latest }: Times): boolean {
    // After the clock was set back, a token is dated at the horizon.
    if (issuedAt < earliest || issuedAt > Math.max(latestDate, ...states.map(({ horizon }) => horizon))) return false
    const times = Array.from({ length: latest - earliest + 1 }, (_, later) => earliest + later)
    return times.some(time => iat === Math.floor((issuedAt > time + SECOND ? time : issuedAt) / SECOND))
  }

  /** The times by which requests that are under way together may be judged. */
  function timesOf (requests: readonly Request[]): (on: number) => Times {
    // A rule for a user takes the next millisecond, so what comes after it is later.
    const more = requests.length > 1 ? requests.length : 0
    const times = [0, 1].map(on => {
      if (!requests.some(request => request.on === on)) return { earliest: 0, latest: 0 }
      const { earliest, latest } = machines.timesOf(on)
      return { earliest, latest: latest + more }
    })
    latestDate = Math.max(latestDate, ...times.map(({ latest }) => latest)) + requests.length
    return on => times[on] as Times
  }

  /** Starts them all before the first has an answer. */
  async function ask (requests: readonly Request[]): Promise<void> {
    const times = timesOf(requests)
    const raw = await Promise.all(requests.map(request => instance(request.on).perform(request, wallet)))
    const exchanges: Exchange[] = requests.map((request, index) => {
      const judged = times(request.on)
      return { request, answer: toAnswer(raw[index] as Raw, request.on, judged), times: judged }
    })
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
    await inspect()
  }

  function show ({ earliest, latest }: Times): string {
    return `${earliest - START}${latest === earliest ? '' : `..${latest - START}`} ms`
  }

  /** Presents every access token that there ever was, and the current refresh token of each session. */
  async function look (on: number): Promise<void> {
    const { latest: time } = machines.timesOf(on)
    const tokenStates = await Promise.all(accessTokens.map(token => instance(on).verify(token)))
    const sessionStates = await Promise.all(sessions.map((
      { refreshTokens }
    ) => instance(on).identify([...refreshTokens.values()].at(-1) as string)))
    const wrongIn = (state: State): string[] => [
      ...tokenStates.flatMap((verdict, token) => {
        const reasons = reasonsAgainst(state, token, time)
        const isRight = reasons.length === 0 ? verdict === 'live' : reasons.includes(verdict)
        return isRight ? [] : [`token ${token} should be ${reasons.join(' or ') || 'live'} and is: ${verdict}`]
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
    const lengths = {
      ...setup, nothing: 0, second: SECOND, minute: MINUTE, day: DAY, 'two days': 2 * DAY, '400 days': 400 * DAY
    }
    return Math.max(0, lengths[of] + plus)
  }

  /** What was noted is written. */
  async function flush (...processes: number[]): Promise<void> {
    for (const on of processes) await instance(on).flush()
    if (processes.length === 2) states = states.map(state => withKnown(state, [0, 1]))
  }

  async function move (milliseconds: number): Promise<void> {
    await flush(0, 1)
    machines.move(milliseconds)
    transcript.push(`the time is ${machines.rightTime() - START} ms`)
  }

  function turn (on: number, milliseconds: number): void {
    machines.turn(on, milliseconds)
    transcript.push(`the clock of process ${on} is ${milliseconds === 0 ? 'right' : `wrong by ${milliseconds} ms`}`)
  }

  /** With a clock that is right, the time has been steady. With a wrong one, it has just leapt. */
  async function purge (on: number): Promise<void> {
    const isRight = machines.isRight(on)
    if (isRight) await instance(on).waitForSteadyTime()
    const { latest: now } = machines.timesOf(on)
    const time = await instance(on).purge()
    transcript.push(`process ${on} has ${time === undefined ? 'not purged' : 'purged'}`)
    const isSteady = isRight || (steadyAt !== undefined && Math.abs(now - steadyAt) <= LONGEST_GAP)
    if (isSteady !== (time !== undefined)) throw new Error(`The time is ${isSteady ? 'steady' : 'not steady'}`)
    steadyAt = time
    if (time === undefined) return
    states = states.map(state => purged(state, time - KEPT, longestTtl))
    if (ON_POSTGRES) await instance(1 - on).sweep()
    await inspect()
  }

  async function watch (on: number): Promise<void> {
    if (setup.watch === 'nobody') return
    await look(on)
    if (setup.watch === 'both') await look(1 - on)
  }

  /** Compares the rows of the sessions with the model. */
  async function inspect (): Promise<void> {
    const rows = new Map((await instance(0).readSessions()).map(row => [row.id, row]))
    const isRight = ({ sessions: expected }: State): boolean => sessions.every(({ id }, number) =>
      isRowOf(rows.get(id), expected[number] as State['sessions'][number]))
    const right = states.filter(isRight)
    if (right.length === 0) {
      throw new Error(`The rows of the sessions are ${JSON.stringify([...rows.values()])} and should be ${
        JSON.stringify(states[0]?.sessions)}`)
    }
    states = right
    if (rows.size > sessions.length) throw new Error(`There are ${rows.size} sessions and ${sessions.length} logins`)
  }

  function isRowOf (row: SessionRow | undefined, expected: State['sessions'][number]): boolean {
    if (row === undefined) return expected.isGone
    return !expected.isGone &&
      row.generation === expected.generation && (row.ended_at !== null) === expected.isEnded &&
      row.rotated_at === expected.rotatedAt && row.last_used_at === expected.usedAt &&
      row.seen_generation <= expected.seen.generation &&
      (row.end_reason === 'stolen') === expected.isStolen &&
      row.idle_expires_at === expected.idleUntil && row.expires_at === expected.until
  }

  return {
    transcript,

    async take (step: Step): Promise<void> {
      switch (step.do) {
        case 'wait': return await move(lengthOf(step.span))
        case 'set time back': return await move(-lengthOf(step.span))
        case 'get the clock wrong': {
          for (const on of step.whose === 'both' ? [0, 1] : [step.whose]) {
            turn(on, step.isAhead ? lengthOf(step.span) : -lengthOf(step.span))
          }
          return
        }
        case 'set the clocks right': {
          for (const on of [0, 1]) turn(on, 0)
          return
        }
        case 'restart': {
          const accessTokenTtl = step.accessTokenTtl ?? instance(step.on).accessTokenTtl
          await flush(0, 1)
          await machines.restart(step.on, accessTokenTtl)
          longestTtl = Math.max(longestTtl, accessTokenTtl)
          transcript.push(`process ${step.on} was restarted, its tokens live ${accessTokenTtl} ms`)
          return await watch(step.on)
        }
        case 'crash': {
          if (!await machines.crash()) return
          states = states.map(state => withKnown(state, []))
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

    /**
     * What must be true at the end, if the clocks are right again: of every token in both processes, of the rows, and
     * that honest clients go on.
     */
    async conclude (): Promise<void> {
      for (const on of [0, 1]) turn(on, 0)
      for (const on of [0, 1, 0]) await look(on)
      for (const [session, { refreshTokens }] of sessions.entries()) {
        await ask([
          { on: session % 2, ask: 'refresh', session, generation: Math.max(...refreshTokens.keys()), way: 'token' }
        ])
      }
      for (const on of [0, 1]) await look(on)
    },

    close: machines.close
  }
}
