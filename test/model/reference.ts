/**
 * What Latchkey promises about sessions and tokens (docs/tokens-and-sessions.md), as a machine that is small enough to
 * be seen to be right. It knows nothing about rules, indexes, rows or clocks. A request is one step or a few. Other
 * requests may come between two steps of one request, and what is only true of all of them together must be true in
 * some order of the steps.
 */

interface User {
  scopes: readonly string[]
  isDisabled: boolean
  /** Which one of the passwords that were ever set. */
  password: number
}

interface Session {
  user: number
  scopes: readonly string[]
  generation: number
  rotatedAt: number
  /** No token of the session is newer. */
  usedAt: number
  idleUntil: number
  until: number
  isEnded: boolean
  /** Whether it ended because a refresh token was used by two parties. */
  isStolen: boolean
  /** The last generation of which an access token was used. */
  seen: Sighting
  /** Whether a purge has deleted it. */
  isGone: boolean
}

/** What the processes know of the use of access tokens. */
interface Sighting {
  generation: number
  /** The processes that know it for sure. The others may know it. */
  by: readonly number[]
}

interface Token {
  session: number
  generation: number
  scopes: readonly string[]
  /** A clock that is set back before this time refuses the token. */
  /** Milliseconds, as its `jti` says. */
  issuedAt: number
  startsAt: number
  expiresAt: number
  isDead: boolean
}

/** Sessions and tokens by the number that each has in the order in which they were seen first. */
export interface State {
  users: readonly User[]
  sessions: Readonly<Record<number, Session>>
  tokens: Readonly<Record<number, Token>>
  /** Tokens that expire by then are dead, whatever the clock shows. */
  horizon: number
}

/** Milliseconds. */
export interface Lifetimes {
  idle: number
  session: number
  grace: number
}

/** What is asked, of a user, a session or a token by its number. `on`: which of the two processes. */
export type Request = { on: number } & (
  | { ask: 'log in', user: number, password: number, scope?: string, way: 'token' | 'login' }
  | { ask: 'refresh', session: number, generation: number, scope?: string, way: 'token' | 'body' | 'cookie' }
  | { ask: 'call', token: number, needs?: 'admin' }
  | { ask: 'revoke a token', token: number }
  | { ask: 'revoke a session', session: number, generation: number }
  | { ask: 'log out', token: number, target: Target }
  | { ask: 'log out by cookie', session: number, generation: number, target: Target }
  | { ask: 'end a session', token: number, session: number }
  | { ask: 'change the password', token: number, current: number, password: number }
  | { ask: 'set the password', user: number, password: number }
  | { ask: 'set the scopes', user: number, scopes: readonly string[] }
  | { ask: 'disable' | 'enable', user: number }
)

type Target = 'this' | 'others' | 'all'

/** What was handed out. */
export interface Grant {
  user: number
  session: number
  generation: number
  token: number
  scopes: readonly string[]
  /** Milliseconds, from the token's `jti`. It puts the tokens of a user in order. */
  issuedAt: number
  startsAt: number
  expiresAt: number
}

/** `done`, `granted`, or the code of the refusal. */
export interface Answer {
  outcome: string
  grant?: Grant
}

/** The earliest and the latest time of a request. They are the same if it is alone. */
export interface Times {
  earliest: number
  latest: number
}

/** What a request has found out by its earlier steps. */
interface Memo {
  isGood?: boolean
  password?: number
  scopes?: readonly string[]
}

/** How the state and the memo may go on; nothing, where the answer cannot be. */
type Step = (state: State, memo: Memo) => Array<[State, Memo]>

/** The scopes of a parameter: RFC 6749 section 3.3. */
function listOf (scope: string | undefined): string[] {
  return [...new Set((scope ?? '').split(' '))].filter(name => name !== '').sort()
}

function isWithin (scopes: readonly string[], granted: readonly string[]): boolean {
  return scopes.every(name => granted.includes(name))
}

/** Undefined where more is asked for than granted. */
function narrow (granted: readonly string[], scope: string | undefined): readonly string[] | undefined {
  const asked = listOf(scope)
  return asked.length === 0 ? granted : isWithin(asked, granted) ? asked : undefined
}

function isLive ({ isEnded, idleUntil, until }: Session, time: number): boolean {
  return !isEnded && time < idleUntil && time < until
}

/** Whether a token is good at this time. */
function isGood (state: State, token: number, time: number): boolean {
  return reasonsAgainst(state, token, time).length === 0
}

/** Returns the errors that a token may get at this time. */
export function reasonsAgainst (state: State, token: number, time: number): string[] {
  const { isDead, issuedAt, startsAt, expiresAt, session } = get(state.tokens, token)
  const { isStolen } = get(state.sessions, session)
  return [
    ...isDead ? [isStolen ? 'session_stolen' : 'token_revoked'] : [],
    ...time >= expiresAt || (expiresAt <= state.horizon && issuedAt < state.horizon) ? ['token_expired'] : [],
    // Its key may have expired with it.
    ...time < startsAt || time >= expiresAt ? ['invalid_token'] : []
  ]
}

/**
 * Deletes the sessions that were over before `horizon`, with all their tokens. `ttl`: the longest lifetime that access
 * tokens ever had.
 */
export function purged (state: State, horizon: number, ttl: number): State {
  return {
    ...state,
    horizon: Math.max(state.horizon, horizon),
    sessions: Object.fromEntries(Object.entries(state.sessions).map(([number, session]) => {
      const isOver = Math.max(session.idleUntil, session.usedAt) + ttl < horizon
      return [number, isOver ? { ...session, isEnded: true, isGone: true } : session]
    }))
  }
}

function get<T> (record: Readonly<Record<number, T>>, number: number): T {
  const item = record[number]
  if (item === undefined) throw new Error(`The model has no ${number}`)
  return item
}

function withUser (state: State, user: number, change: Partial<User>): State {
  return { ...state, users: state.users.with(user, { ...get(state.users, user), ...change }) }
}

/** Every session that `which` holds for is over, with all its tokens, whether it had expired or not. */
function withEnded (state: State, which: (session: Session, number: number) => boolean): State {
  const sessions = { ...state.sessions }
  const tokens = { ...state.tokens }
  for (const [number, session] of Object.entries(sessions)) {
    if (which(session, Number(number))) sessions[Number(number)] = { ...session, isEnded: true }
  }
  for (const [number, token] of Object.entries(tokens)) {
    if (which(get(sessions, token.session), token.session)) tokens[Number(number)] = { ...token, isDead: true }
  }
  return { ...state, sessions, tokens }
}

/** A refresh token was used by two parties. */
function withStolen (state: State, stolen: number): State {
  const ended = withEnded(state, (_, number) => number === stolen)
  return { ...ended, sessions: { ...ended.sessions, [stolen]: { ...get(ended.sessions, stolen), isStolen: true } } }
}

/** A guard of this process has accepted an access token. */
function withUse (state: State, token: number, on: number): State {
  const { session: number, generation } = get(state.tokens, token)
  const session = get(state.sessions, number)
  const { seen } = session
  if (generation < seen.generation) return state
  const by = generation > seen.generation ? [on] : [...new Set([...seen.by, on])].sort()
  return { ...state, sessions: { ...state.sessions, [number]: { ...session, seen: { generation, by } } } }
}

/**
 * What the processes know, after all of it was written or, without `by`, after both were killed, so that only perhaps
 * it was.
 */
export function withKnown (state: State, by: readonly number[]): State {
  return {
    ...state,
    sessions: Object.fromEntries(Object.entries(state.sessions).map(
      ([number, session]) => [number, { ...session, seen: { ...session.seen, by } }]
    ))
  }
}

/** Every token that the user has now is dead; the sessions go on. */
function withDeadTokens (state: State, user: number): State {
  return {
    ...state,
    tokens: Object.fromEntries(Object.entries(state.tokens).map(
      ([number, token]) => [
        number, get(state.sessions, token.session).user === user ? { ...token, isDead: true } : token
      ]
    ))
  }
}

function loggedOut (state: State, user: number, session: number, target: Target): State {
  return withEnded(
    state, (other, number) => other.user === user && (target === 'all' || (number === session) === (target === 'this'))
  )
}

/** The steps of a request that got this answer. */
function stepsOf (request: Request, answer: Answer, times: Times, lifetimes: Lifetimes): Step[] {
  const { grant } = answer
  const candidates = Array.from(
    { length: times.latest - times.earliest + 1 }, (_, later) => times.earliest + later
  )
  const is = (outcome: string, state: State): Array<[State, Memo]> => answer.outcome === outcome ? [[state, {}]] : []
  const nowhere: Array<[State, Memo]> = []

  /** The first step of what needs a token. */
  const authenticate = (token: number): Step => state => candidates.map(
    time => [state, { isGood: isGood(state, token, time) }]
  )

  /** The same if a guard checks the token. */
  const passGuard = (token: number): Step => state => candidates.map(time => {
    const good = isGood(state, token, time)
    return [good ? withUse(state, token, request.on) : state, { isGood: good }]
  })

  function isGranted (user: number, session: number, generation: number, scopes: readonly string[]): boolean {
    return answer.outcome === 'granted' && grant !== undefined &&
      grant.user === user && grant.session === session && grant.generation === generation &&
      isWithin(scopes, grant.scopes) && isWithin(grant.scopes, scopes)
  }

  function withToken (state: State): State {
    const { token, session, generation, scopes, issuedAt, startsAt, expiresAt } = grant as Grant
    const issued = { session, generation, scopes, issuedAt, startsAt, expiresAt, isDead: false }
    return { ...state, tokens: { ...state.tokens, [token]: issued } }
  }

  switch (request.ask) {
    case 'log in': return [
      state => {
        const { isDisabled, password, scopes } = get(state.users, request.user)
        return [[state, { isGood: !isDisabled && password === request.password, password, scopes }]]
      },
      (state, memo) => {
        const user = get(state.users, request.user)
        if (memo.isGood !== true) return is('invalid_grant', state)
        const scopes = narrow(memo.scopes ?? [], request.scope)
        if (scopes === undefined) return is('invalid_scope', state)
        if (user.isDisabled || user.password !== memo.password) return is('invalid_grant', state)
        if (!isWithin(scopes, user.scopes)) return is('account_changed', state)
        if (grant === undefined || state.sessions[grant.session] !== undefined || !isGranted(
          request.user, grant.session, 1, scopes
        )) return nowhere
        return candidates.filter(time => time <= grant.issuedAt).map(time => {
          const session = {
            user: request.user,
            scopes,
            generation: 1,
            rotatedAt: time,
            usedAt: grant.issuedAt,
            idleUntil: time + Math.min(lifetimes.idle, lifetimes.session),
            until: time + lifetimes.session,
            isEnded: false,
            isStolen: false,
            seen: { generation: 0, by: [0, 1] },
            isGone: false
          }
          return [withToken({ ...state, sessions: { ...state.sessions, [grant.session]: session } }), {}]
        })
      }
    ]

    case 'refresh': return [
      state => {
        const session = get(state.sessions, request.session)
        const user = get(state.users, session.user)
        // What was granted once and has been taken away since is not given: but nothing that was never granted is.
        return [[state, { scopes: narrow(session.scopes.filter(name => user.scopes.includes(name)), request.scope) }]]
      },
      (state, memo) => candidates.flatMap(time => {
        const session = get(state.sessions, request.session)
        if (session.isStolen && !session.isGone) return is('session_stolen', state)
        if (!isLive(session, time)) return is('invalid_grant', state)
        const isCurrent = request.generation === session.generation
        const isPredecessor = request.generation === session.generation - 1
        const isSeen = session.seen.generation >= session.generation
        const isInGrace = time < session.rotatedAt + lifetimes.grace
        const mayBeRetry = isPredecessor && (isInGrace || !isSeen || !session.seen.by.includes(request.on))
        // Somebody else has it: this session is over, and no other.
        const stolen = is('session_stolen', withStolen(state, request.session))
        if (!isCurrent && !mayBeRetry) return stolen
        if (answer.outcome === 'session_stolen') return isPredecessor && isSeen && !isInGrace ? stolen : nowhere
        if (memo.scopes === undefined) return is('invalid_scope', state)
        if (!isWithin(memo.scopes, get(state.users, session.user).scopes)) return is('account_changed', state)
        const generation = isCurrent ? session.generation + 1 : session.generation
        if (grant === undefined || !isGranted(session.user, request.session, generation, memo.scopes)) return nowhere
        if (grant.issuedAt < Math.max(time, session.usedAt)) return nowhere
        const used = { ...session, usedAt: grant.issuedAt }
        const idleUntil = Math.min(Math.max(time + lifetimes.idle, session.idleUntil), session.until)
        const rotated = isCurrent || !isInGrace ? { ...used, generation, rotatedAt: time, idleUntil } : used
        return [[withToken({ ...state, sessions: { ...state.sessions, [request.session]: rotated } }), {}]]
      })
    ]

    case 'call': return [
      state => candidates.flatMap(time => {
        const { scopes } = get(state.tokens, request.token)
        const reasons = reasonsAgainst(state, request.token, time)
        if (reasons.length > 0) return reasons.flatMap(reason => is(reason, state))
        return is(
          request.needs === undefined || scopes.includes(request.needs) ? 'done' : 'insufficient_scope',
          withUse(state, request.token, request.on)
        )
      })
    ]

    // Even if it has expired, because the clock may be set back.
    case 'revoke a token': return [
      state => is(
        'done',
        {
          ...state, tokens: { ...state.tokens, [request.token]: { ...get(state.tokens, request.token), isDead: true } }
        }
      )
    ]

    // By any of its refresh tokens, also one that was rotated away.
    case 'revoke a session': return [
      state => is('done', withEnded(state, (_, number) => number === request.session))
    ]

    case 'log out': return [
      authenticate(request.token),
      (state, { isGood }) => {
        const { session } = get(state.tokens, request.token)
        return is(
          'done', isGood === true ? loggedOut(state, get(state.sessions, session).user, session, request.target) : state
        )
      }
    ]

    case 'log out by cookie': return [
      state => candidates.map(time => [state, { isGood: isLive(get(state.sessions, request.session), time) }]),
      (state, { isGood }) => {
        if (isGood === true) {
          return is(
            'done', loggedOut(state, get(state.sessions, request.session).user, request.session, request.target)
          )
        }
        // One that has expired speaks for no other. But who was told that it is over may rely on that.
        return is(
          'done', request.target === 'others' ? state : withEnded(state, (_, number) => number === request.session)
        )
      }
    ]

    case 'end a session': return [
      passGuard(request.token),
      (state, memo) => candidates.flatMap(time => {
        if (memo.isGood !== true) return is('unauthenticated', state)
        const session = get(state.sessions, request.session)
        const isOwn = session.user === get(state.sessions, get(state.tokens, request.token).session).user
        return is(
          isOwn && isLive(session, time) ? 'done' : 'not_found',
          isOwn ? withEnded(state, (_, number) => number === request.session) : state
        )
      })
    ]

    case 'change the password': return [
      passGuard(request.token),
      (state, { isGood }) => [[state, { isGood, password: userOfToken(state, request.token).password }]],
      (state, memo) => {
        const { session } = get(state.tokens, request.token)
        const { user } = get(state.sessions, session)
        const { password, isDisabled } = get(state.users, user)
        if (memo.isGood !== true) return is('unauthenticated', state)
        if (memo.password !== request.current || password !== request.current || isDisabled) {
          return is(
            'wrong_password', state
          )
        }
        return is(
          'done',
          withEnded(
            withUser(state, user, { password: request.password }),
            (other, number) => other.user === user && number !== session
          )
        )
      }
    ]

    case 'set the password': return [
      state => is(
        'done',
        withEnded(withUser(state, request.user, { password: request.password }), ({ user }) => user === request.user)
      )
    ]

    case 'set the scopes': return [
      state => {
        const taken = !isWithin(get(state.users, request.user).scopes, request.scopes)
        const changed = withUser(state, request.user, { scopes: listOf(request.scopes.join(' ')) })
        return is('done', taken ? withDeadTokens(changed, request.user) : changed)
      }
    ]

    case 'disable': return [
      state => is(
        'done', withEnded(withUser(state, request.user, { isDisabled: true }), ({ user }) => user === request.user)
      )
    ]

    case 'enable': return [
      state => is('done', withUser(state, request.user, { isDisabled: false }))
    ]
  }
}

function userOfToken (state: State, token: number): User {
  return get(state.users, get(state.sessions, get(state.tokens, token).session).user)
}

/** A request that was made, and its answer. */
export interface Exchange {
  request: Request
  answer: Answer
  times: Times
}

/**
 * The states that may be there after requests that were under way at the same time, begun in any of `states`: each
 * state that some order of their steps leads to in which every answer is right. None where there is no such order.
 */
export function statesAfter (states: readonly State[], exchanges: readonly Exchange[], lifetimes: Lifetimes): State[] {
  const programs = exchanges.map(({ request, answer, times }) => stepsOf(request, answer, times, lifetimes))
  interface Point { state: State, done: number[], memos: Memo[] }
  let points: Point[] = states.map(state => ({ state, done: programs.map(() => 0), memos: programs.map(() => ({})) }))
  const length = programs.reduce((sum, program) => sum + program.length, 0)
  for (let step = 0; step < length; step++) {
    const next = new Map<string, Point>()
    for (const { state, done, memos } of points) {
      for (const [index, program] of programs.entries()) {
        for (const [after, memo] of program[done[index] ?? 0]?.(state, memos[index] ?? {}) ?? []) {
          const point = { state: after, done: done.with(index, (done[index] ?? 0) + 1), memos: memos.with(index, memo) }
          next.set(JSON.stringify(point), point)
        }
      }
    }
    points = [...next.values()]
  }
  return [...new Map(points.map(({ state }) => [JSON.stringify(state), state])).values()]
}
