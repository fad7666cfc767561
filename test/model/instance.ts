import { fastify } from 'fastify'
import type { FastifyInstance, LightMyRequestResponse } from 'fastify'
import latchkey from '../../app.js'
import type { LatchkeyOptions } from '../../app.js'
import { LatchkeyError } from '../../lib/errors.js'
import { ERROR_CODES, describeError, oauthMessageOf } from '../../schemas/errors.js'
import { lookAtTime } from '../../lib/store/steady-time.js'
import type { SessionRow } from '../../lib/sessions/rows.js'
import { kClock, kStore } from '../../plugins/database.js'
import { kSeenGenerations } from '../../plugins/sessions.js'
import { askBefore, bearer, ON_POSTGRES, PASSWORD, postForm, TEST_OPTIONS } from '../helper.js'
import { MINUTE } from '../lib/support.js'
import { SECRET } from '../routes/support.js'
import { USERS } from './operations.js'
import type { Request } from './reference.js'

/** What came back: the tokens, where there are some. */
export interface Raw {
  outcome: string
  tokens?: { accessToken: string, refreshToken: string }
}

/** What the requests carry: texts instead of the numbers of the model. */
export interface Wallet {
  accessToken (number: number): string
  refreshToken (session: number, generation: number): string
  sessionId (session: number): string
  userId (user: number): string
}

/** One process: a host app with Latchkey in it. */
export interface Instance {
  readonly app: FastifyInstance
  readonly accessTokenTtl: number
  /** The time of the process. */
  now (): number
  perform (request: Request, wallet: Wallet): Promise<Raw>
  /** `live`, or the code of what is wrong with it. */
  verify (accessToken: string): Promise<string>
  /** Whether the session of a refresh token of ours is live. */
  identify (refreshToken: string): Promise<boolean>
  /**
   * Purges as the product does once a minute, so only if the time is steady. Returns the time of the purge, or
   * undefined if there was none.
   */
  purge (): Promise<number | undefined>
  /** What each node does once a minute if another one purges. */
  sweep (): Promise<void>
  /** Writes which generations have been seen, as the product does after a second. */
  flush (): Promise<void>
  /** Looks at the time for an hour, up to now, so that a purge finds a steady time. */
  waitForSteadyTime (): Promise<void>
  /** What the store has of the sessions. */
  readSessions (): Promise<SessionRow[]>
  close (): Promise<void>
}

export function passwordOf (number: number): string {
  return `${PASSWORD} ${number}`
}

/** Starts a process on a database. */
export async function openInstance (options: LatchkeyOptions & { accessTokenTtl: string }): Promise<Instance> {
  const app = fastify({ logger: false }) as FastifyInstance
  const scopes: FastifyInstance[] = []
  app.addHook('onRegister', scope => { scopes.push(scope) })
  askBefore(app)
  await app.register(latchkey, { ...TEST_OPTIONS, secret: SECRET, ...options })
  app.get('/protected-route', { onRequest: app.authenticate }, async request => ({ id: request.user.id }))
  app.get('/admin/', { preHandler: app.requireScopes('admin') }, async request => ({ id: request.user.id }))
  await app.ready()
  const { users, tokens, sessions, revocations } = app.latchkey
  const scope = scopes.find(scope => scope[kClock] !== undefined)
  if (scope === undefined) throw new Error('There is no clock')
  const [clock, store] = [scope[kClock], scope[kStore]]
  /** See `askBefore`. */
  const askStore = async (): Promise<void> => { if (ON_POSTGRES) await store.poll() }

  async function perform (request: Request, wallet: Wallet): Promise<Raw> {
    switch (request.ask) {
      case 'log in': {
        const credentials = {
          username: USERS[request.user]?.username ?? '',
          password: passwordOf(request.password),
          ...request.scope !== undefined && { scope: request.scope }
        }
        return read(request.way === 'token'
          ? await postForm(app, '/token', { grant_type: 'password', ...credentials })
          : await app.inject({ method: 'POST', url: '/login', payload: credentials }))
      }
      case 'refresh': {
        const refreshToken = wallet.refreshToken(request.session, request.generation)
        const scope = request.scope !== undefined && { scope: request.scope }
        switch (request.way) {
          case 'token': return read(
            await postForm(app, '/token', { grant_type: 'refresh_token', refresh_token: refreshToken, ...scope })
          )
          case 'body': return read(
            await app.inject({ method: 'POST', url: '/refresh', payload: { refresh_token: refreshToken, ...scope } })
          )
          default: return read(
            await app.inject({ method: 'POST', url: '/refresh', headers: cookie(refreshToken), payload: { ...scope } })
          )
        }
      }
      case 'call': return read(
        await app.inject({
          url: request.needs === 'admin' ? '/admin/' : '/protected-route',
          headers: bearer(wallet.accessToken(request.token))
        })
      )
      case 'revoke a token': return read(await postForm(app, '/revoke', { token: wallet.accessToken(request.token) }))
      case 'revoke a session': return read(
        await postForm(app, '/revoke', { token: wallet.refreshToken(request.session, request.generation) })
      )
      case 'log out': return read(
        await app.inject({
          method: 'POST',
          url: '/logout',
          headers: bearer(wallet.accessToken(request.token)),
          payload: { target: request.target }
        })
      )
      case 'log out by cookie': return read(
        await app.inject({
          method: 'POST',
          url: '/logout',
          headers: cookie(wallet.refreshToken(request.session, request.generation)),
          payload: { target: request.target }
        })
      )
      case 'end a session': return asGuarded(read(
        await app.inject({
          method: 'DELETE',
          url: `/sessions/${wallet.sessionId(request.session)}`,
          headers: bearer(wallet.accessToken(request.token))
        })
      ))
      case 'change the password': return asGuarded(read(await app.inject({
        method: 'PUT',
        url: '/users/me/password',
        headers: bearer(wallet.accessToken(request.token)),
        payload: {
          current_password: passwordOf(request.current), new_password: passwordOf(request.password)
        }
      })))
      case 'set the password': return await call(users.setPassword(
        wallet.userId(request.user), passwordOf(request.password)
      ))
      case 'set the scopes': return await call(users.setScopes(wallet.userId(request.user), request.scopes))
      case 'disable': return await call(users.disable(wallet.userId(request.user)))
      case 'enable': return await call(users.enable(wallet.userId(request.user)))
    }
  }

  return {
    app,
    accessTokenTtl: Number.parseInt(options.accessTokenTtl),
    now: () => clock.now(),
    perform,
    async verify (accessToken) {
      await askStore()
      try {
        await tokens.verify(accessToken)
        return 'live'
      } catch (error) {
        return error instanceof LatchkeyError ? error.code : String(error)
      }
    },
    async identify (refreshToken) {
      return (await sessions.identify(refreshToken))?.live === true
    },
    async purge () {
      await askStore()
      const [isSteady, now] = await store.transaction(async (trx, now) => [await lookAtTime(trx, now), now] as const)
      if (!isSteady) return undefined
      await revocations.purge(now)
      let more = true
      while (more) more = await sessions.purge(2, now)
      return now
    },
    sweep: revocations.sweep,
    flush: scope[kSeenGenerations].flush,
    async waitForSteadyTime () {
      await store.transaction(async (trx, now) => {
        for (let ago = 64; ago >= 0; ago -= 4) await lookAtTime(trx, now - ago * MINUTE)
      })
    },
    readSessions: () => store.read(db => db.selectFrom('latchkey_sessions').selectAll().execute()),
    close: () => app.close()
  }
}

function cookie (refreshToken: string): { cookie: string } {
  return { cookie: `__Host-refresh_token=${refreshToken}` }
}

async function call (work: Promise<unknown>): Promise<Raw> {
  try {
    await work
    return { outcome: 'done' }
  } catch (error) {
    return { outcome: error instanceof LatchkeyError ? error.code : String(error) }
  }
}

/** The OAuth endpoints say less than our own codes; the sentence tells which one it is. */
function codeOf (body: { code?: string, error?: string, error_description?: string }): string {
  if (body.code !== undefined) return body.code
  return ERROR_CODES.find(
    code => describeError(code).oauth === body.error &&
      oauthMessageOf({ code, message: describeError(code).message }) === body.error_description
  ) ?? `${body.error}: ${body.error_description}`
}

/** An answer in the words of the model; whatever it does not know stays as it is, and matches nothing. */
function read (response: LightMyRequestResponse): Raw {
  const { statusCode: status } = response
  if (status === 204) return { outcome: 'done' }
  const body = response.json()
  if (status !== 200) {
    const code = codeOf(body)
    return { outcome: code === 'invalid_credentials' || code === 'invalid_refresh_token' ? 'invalid_grant' : code }
  }
  const valueOf = (name: string): string | undefined => response.cookies.find(
    cookie => cookie.name === `__Host-${name}`
  )?.value
  const accessToken = body.access_token ?? valueOf('access_token')
  const refreshToken = body.refresh_token ?? valueOf('refresh_token')
  if (accessToken === undefined || refreshToken === undefined) return { outcome: 'done' }
  return { outcome: 'granted', tokens: { accessToken, refreshToken } }
}

/** The model asks only of calls why the guard refused a token. */
function asGuarded (raw: Raw): Raw {
  return ['token_expired', 'token_revoked', 'session_stolen', 'invalid_token'].includes(raw.outcome) ? { outcome: 'unauthenticated' } : raw
}
