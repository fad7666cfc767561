// A program that calls an API as itself: it gets a token, keeps it until it is about to expire, and gets another one after a 401.
//
//   node dist/examples/machine-client.js

import { fastify } from 'fastify'
import type { FastifyInstance } from 'fastify'
import latchkey from 'fastify-latchkey'
import type { LatchkeyOptions } from 'fastify-latchkey'

export interface MachineClientOptions {
  /** The API. Nobody else is sent the token. */
  api: string
  /** Where tokens are made. */
  tokenEndpoint: string
  /** As registered: `latchkey clients add`. */
  id: string
  secret: string
  /** What of its scopes it needs here, separated by spaces. Default: all. */
  scope?: string
  /** Milliseconds since the epoch. Default `Date.now`. */
  now?: () => number
}

/** What can be sent twice: no stream. */
export interface CallInit {
  method?: string
  headers?: Record<string, string>
  body?: string
}

/** Calls a path of the API with a token. What the API answers is given as it is, but for the first 401. */
export type Call = (path: string, init?: CallInit) => Promise<Response>

/** Milliseconds before its end from which a token is not used: an answer that takes long on its way must not find it expired. */
const MARGIN = 30_000

export function createMachineClient ({ api, tokenEndpoint, id, secret, scope, now = Date.now }: MachineClientOptions): Call {
  // RFC 6749 section 2.3.1: both are form-encoded before they are joined.
  const authorization = `Basic ${Buffer.from(`${encodeURIComponent(id)}:${encodeURIComponent(secret)}`).toString('base64')}`

  /** The token, or the request for it: many calls at once make one. */
  let held: { token: Promise<string>, usableUntil: number } | undefined

  async function request (): Promise<{ access_token: string, expires_in: number }> {
    const body = new URLSearchParams({ grant_type: 'client_credentials', ...scope !== undefined && { scope } })
    const response = await fetch(tokenEndpoint, { method: 'POST', headers: { authorization }, body, redirect: 'error' })
    const answer = await response.json() as { access_token: string, expires_in: number, error?: string }
    if (response.status !== 200) throw new Error(`There is no token: ${response.status} ${answer.error ?? ''}`)
    return answer
  }

  function getToken (): Promise<string> {
    const askedAt = now()
    if (held !== undefined && askedAt < held.usableUntil) return held.token
    const token = request().then(answer => {
      const lifetime = answer.expires_in * 1000
      // Where it lives for less than the margin: for half of that.
      next.usableUntil = askedAt + Math.max(lifetime - MARGIN, lifetime / 2)
      return answer.access_token
    })
    const next = held = { token, usableUntil: Infinity }
    // A failure is not kept: the next call asks again.
    token.catch(() => forget(token))
    return token
  }

  /** Another call may have got a new one already: that stays. */
  function forget (token: Promise<string>): void {
    if (held?.token === token) held = undefined
  }

  return async function call (path, init = {}) {
    const url = new URL(path, api)
    if (url.origin !== new URL(api).origin) throw new TypeError(`${url.origin} is not the API: it must not see the token`)
    const send = (token: string): Promise<Response> => fetch(url, { ...init, headers: { ...init.headers, authorization: `Bearer ${token}` }, redirect: 'manual' })

    const used = getToken()
    const response = await send(await used)
    if (response.status !== 401) return response
    // Revoked, or of a key that is gone. Once: a second 401 is an answer.
    await response.body?.cancel()
    forget(used)
    return await send(await getToken())
  }
}

/** An API to call, with the client registered. */
export async function build (options: LatchkeyOptions = {}): Promise<{ app: FastifyInstance, id: string, secret: string }> {
  const app = fastify()
  await app.register(latchkey, { database: ':memory:', scopes: { 'reports:read': 'Read reports' }, ...options })
  // No user has this token: its `id` is the client's own.
  app.get('/reports', { preHandler: app.requireScopes('reports:read') }, async ({ user }) => ({ for: user.id, reports: [] }))
  const { client, secret } = await app.latchkey.clients.add({ name: 'nightly', scopes: ['reports:read'] })
  return { app, id: client.id, secret }
}

if (process.argv[1] === import.meta.filename) {
  const { app, id, secret } = await build()
  const api = await app.listen({ port: 0 })
  const call = createMachineClient({ api, tokenEndpoint: `${api}/token`, id, secret })
  for (const attempt of [1, 2]) {
    const response = await call('/reports')
    console.log(attempt, response.status, await response.text())
  }
  await app.close()
}
