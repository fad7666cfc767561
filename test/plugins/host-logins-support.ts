import type { FastifyInstance, FastifyRequest, InjectOptions, LightMyRequestResponse } from 'fastify'
import type { Test } from 'tap'
import type { LatchkeyOptions, Login, LoginDetails, SecurityEvent } from '../../app.js'
import { PASSWORD } from '../helper.js'
import type { TestClock } from '../helper.js'
import { assertDiscreet, buildHost } from '../routes/support.js'

export const ALICE = { username: 'alice', password: PASSWORD }
export const ANOTHER_SITE = { 'sec-fetch-site': 'cross-site' }

export interface Own {
  app: FastifyInstance
  clock: TestClock
  /** Sends a request to a route of the app: `POST /own/<call>`. */
  call (name: string, payload?: unknown, request?: InjectOptions): Promise<LightMyRequestResponse>
  events: SecurityEvent[]
}

type Work = (request: FastifyRequest, app: FastifyInstance) => unknown

/** What the routes of the app do, each under its name. */
const WORK: Record<string, Work> = {
  login: (request, app) => app.latchkey.logIn(request, request.body as typeof ALICE),
  as: async (request, app) => {
    const { user, ...details } = request.body as { user: string } & LoginDetails
    return await app.latchkey.logInAs(request, user, details)
  },
  refresh: (request, app) => app.latchkey.refresh(request, (request.body ?? undefined) as { refreshToken?: string }),
  reissue: (request, app) => app.latchkey.reissue(request)
}

/** A host with `alice` and a route for each call, whose answers have the tokens in cookies and in the body. */
export async function buildOwn (
  t: Test, options: LatchkeyOptions = {}, arrange: (app: FastifyInstance) => void | Promise<void> = () => {}
): Promise<Own> {
  const events: SecurityEvent[] = []
  const { app, clock } = await buildHost(t, { onEvent: event => { events.push(event) }, ...options }, async app => {
    await arrange(app)
    for (const [name, work] of Object.entries(WORK)) {
      app.route({
        method: ['GET', 'POST'],
        url: `/own/${name}`,
        async handler (request, reply) {
          if (request.method === 'GET') request.body = request.query
          const login = await work(request, app) as Login
          app.latchkey.setCookies(reply, login)
          return login
        }
      })
    }
    app.post('/own/logout', async (request, reply) => {
      await app.latchkey.logOut(request, (request.body as { target?: 'this' } | null)?.target)
      app.latchkey.clearCookies(reply)
      return {}
    })
    app.get('/me', { onRequest: app.authenticate }, async request => request.user)
  })
  return {
    app,
    clock,
    events,
    call: (name, payload, request) => app.inject({
      method: 'POST', url: `/own/${name}`, payload: payload as object, ...request
    })
  }
}

/** An error of the contract in Fastify's own form, with its headers, and without a cookie. */
export function assertError (
  t: Test, response: LightMyRequestResponse, status: number, code: string, name = code
): void {
  t.equal(response.statusCode, status, `${name} has the status`)
  t.equal(response.json().code, code, `${name} has the code`)
  t.equal(response.headers['cache-control'], 'no-store', `${name} is not cached`)
  t.equal(response.headers['www-authenticate'] !== undefined, status === 401, `${name}: a challenge with 401 only`)
  t.notOk(response.headers['set-cookie'], `${name} sets no cookie`)
  assertDiscreet(t, response, name)
}

/** The names and attributes of the cookies of an answer, without their values. */
export function attributesOf ({ cookies }: LightMyRequestResponse): object[] {
  return cookies.map(({ value: _value, ...attributes }) => attributes)
}
