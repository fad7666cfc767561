import fc from 'fast-check'

/** The users, by number. */
export const USERS = [
  { username: 'alice', scopes: ['admin', 'items:read'] }, { username: 'bob', scopes: ['items:read'] }
] as const

const MINUTE = 60_000
const HOUR = 60 * MINUTE
const DAY = 24 * HOUR

/**
 * How a case is set up, all in milliseconds. `watch`: who looks at every token after every step. An instance that is
 * not asked does not look at its clock either, and what it did not see, it does not know.
 */
export const setups = fc.record({
  accessTokenTtl: fc.constantFrom(15 * MINUTE, MINUTE, 3 * HOUR, 3 * DAY),
  refreshIdleTtl: fc.constantFrom(DAY, 10 * MINUTE, HOUR),
  sessionTtl: fc.constantFrom(3 * DAY, HOUR, 5 * HOUR),
  refreshGrace: fc.constantFrom(10_000, 1, 2 * MINUTE),
  watch: fc.constantFrom('asked' as const, 'both' as const, 'nobody' as const)
})

export type Setup = typeof setups extends fc.Arbitrary<infer T> ? T : never

const on = fc.nat({ max: 1 })
const user = fc.nat({ max: USERS.length - 1 })
/** Sessions and tokens, counted from the newest. */
const session = fc.oneof({ weight: 2, arbitrary: fc.constant(0) }, { weight: 3, arbitrary: fc.nat({ max: 4 }) })
const token = fc.nat({ max: 9 })
/** Refresh tokens of a session, counted from the current one. */
const back = fc.oneof(
  { weight: 4, arbitrary: fc.constant(0) }, { weight: 3, arbitrary: fc.constant(1) },
  { weight: 2, arbitrary: fc.integer({ min: 2, max: 4 }) }
)
const scopes = fc.subarray(['items:read', 'admin', 'items:write'])
const scope = fc.oneof(
  { weight: 3, arbitrary: fc.constant(undefined) }, { weight: 2, arbitrary: scopes.map(names => names.join(' ')) },
  { weight: 1, arbitrary: fc.constantFrom('nonsense', ' admin  admin ', 'admin items:read') }
)
const target = fc.constantFrom('this' as const, 'others' as const, 'all' as const)

/** What one client or one administrator does. */
const operations = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('log in' as const),
      on,
      user,
      isRight: fc.integer({ min: 0, max: 9 }).map(dice => dice > 0),
      scope,
      way: fc.constantFrom('token' as const, 'login' as const)
    })
  },
  {
    weight: 9,
    arbitrary: fc.record({
      do: fc.constant('refresh' as const),
      on,
      session,
      back,
      scope,
      way: fc.constantFrom('token' as const, 'body' as const, 'cookie' as const)
    })
  },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('call' as const), on, token, needs: fc.constantFrom(undefined, 'admin' as const)
    })
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('revoke a token' as const), on, token }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('revoke a session' as const), on, session, back }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('log out' as const), on, token, target }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('log out by cookie' as const), on, session, back, target }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('end a session' as const), on, token, session }) },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('change the password' as const),
      on,
      token,
      isRight: fc.integer({ min: 0, max: 4 }).map(dice => dice > 0)
    })
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('set the password' as const), on, user }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('set the scopes' as const), on, user, scopes }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('disable' as const), on, user }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('enable' as const), on, user }) }
)

export type Operation = typeof operations extends fc.Arbitrary<infer T> ? T : never

/** A span of time that something depends on, or a few milliseconds beside it. */
const span = fc.record({
  of: fc.constantFrom(
    'nothing' as const, 'second' as const, 'minute' as const, 'refreshGrace' as const, 'accessTokenTtl' as const,
    'refreshIdleTtl' as const, 'sessionTtl' as const, 'day' as const, 'two days' as const, '400 days' as const
  ),
  plus: fc.integer({ min: -1, max: 2 })
})

export type Span = typeof span extends fc.Arbitrary<infer T> ? T : never

/** One step of a case. */
export const steps = fc.oneof(
  { weight: 14, arbitrary: operations },
  // What an honest client does most: only a session that was used for a while has tokens to replay.
  {
    weight: 4,
    arbitrary: fc.record({ do: fc.constant('go on' as const), on, user, refreshes: fc.integer({ min: 0, max: 3 }) })
  },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('at once' as const), operations: fc.array(operations, { minLength: 2, maxLength: 3 })
    })
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('wait' as const), span }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('set time back' as const), span }) },
  // The clock stays wrong for the following steps.
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('get the clock wrong' as const),
      whose: fc.constantFrom(0 as const, 1 as const, 'both' as const),
      span,
      isAhead: fc.boolean()
    })
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('set the clocks right' as const) }) },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('restart' as const), on, accessTokenTtl: fc.constantFrom(undefined, MINUTE, HOUR)
    })
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('crash' as const) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('purge' as const), on }) }
)

export type Step = typeof steps extends fc.Arbitrary<infer T> ? T : never

const SETUP: Setup = {
  accessTokenTtl: 15 * MINUTE, refreshIdleTtl: DAY, sessionTtl: 3 * DAY, refreshGrace: 10_000, watch: 'nobody'
}
const LOGIN = { do: 'log in', on: 0, user: 0, isRight: true, scope: undefined, way: 'token' } as const
const REVOCATION = { do: 'revoke a token', on: 0, token: 0 } as const

const CALL = { do: 'call', on: 1, token: 0, needs: undefined } as const
const PURGE = { do: 'purge', on: 0 } as const

function wait (of: Span['of'], plus = 0): Step {
  return { do: 'wait', span: { of, plus } }
}

function whileWrong (of: Span['of'], ...steps: Step[]): Step[] {
  return [
    { do: 'get the clock wrong', whose: 'both', span: { of, plus: 0 }, isAhead: true },
    ...steps,
    { do: 'set the clocks right' }
  ]
}

/** What was found once, made as small as it could be; each of them runs first. */
export const found: Array<[Setup, Step[]]> = [
  // A process refused its own token after its clock was set right.
  [SETUP, [...whileWrong('day', LOGIN), CALL, wait('day'), CALL]],
  // A rule that was purged while the clock was wrong, before the other process had read it.
  [SETUP, [LOGIN, REVOCATION, ...whileWrong('sessionTtl', LOGIN, PURGE), { ...CALL, token: 1 }]],
  // What had expired by a clock that was wrong was not revoked, and the answer said it was.
  [SETUP, [LOGIN, ...whileWrong('accessTokenTtl', REVOCATION), CALL]],
  [SETUP, [LOGIN, ...whileWrong('accessTokenTtl', REVOCATION), { do: 'crash' }, CALL]],
  [
    SETUP,
    [
      LOGIN, ...whileWrong('refreshIdleTtl', { do: 'revoke a session', on: 0, session: 0, back: 0 }),
      { do: 'refresh', on: 1, session: 0, back: 0, scope: undefined, way: 'token' }
    ]
  ],
  // The row of a session was gone when its access token was still good.
  [
    { ...SETUP, accessTokenTtl: 3 * DAY, refreshIdleTtl: 10 * MINUTE },
    [LOGIN, wait('day'), wait('refreshIdleTtl', 2), PURGE, LOGIN, { do: 'log out', on: 0, token: 0, target: 'others' }]
  ],
  // A session had expired, and revoking it did not end the access token that had not.
  [
    { ...SETUP, accessTokenTtl: 3 * DAY, refreshIdleTtl: 10 * MINUTE },
    [LOGIN, wait('refreshIdleTtl'), { do: 'revoke a session', on: 0, session: 0, back: 0 }, { ...CALL, on: 0 }]
  ],
  [
    { ...SETUP, accessTokenTtl: 3 * DAY, refreshIdleTtl: 10 * MINUTE },
    [
      LOGIN, wait('refreshIdleTtl'), { do: 'log out by cookie', on: 0, session: 0, back: 0, target: 'all' },
      { ...CALL, on: 0 }
    ]
  ]
]
