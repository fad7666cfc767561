// A program that calls an API as itself. It gets a token, reuses it until shortly before it expires, and gets a new one
// after a 401.
//
//   node dist/examples/machine-client.js

import { fastify } from 'fastify'
import type { FastifyInstance } from 'fastify'
import latchkey from 'fastify-latchkey'
import type { LatchkeyOptions } from 'fastify-latchkey'

export interface MachineClientOptions {
  /** The URL of the API. The client sends the token nowhere else. */
  api: string
  /** The URL that issues tokens. */
  tokenEndpoint: string
  /** The id and the secret that `latchkey clients add` has printed. */
  id: string
  secret: string
  /** The scopes to request, separated by spaces. Default: all that the client has. */
  scope?: string
  /** Milliseconds since the epoch. Default `Date.now`. */
  now?: () => number
}

/** A request that can be sent twice, so its body is not a stream. */
export interface CallInit {
  method?: string
  headers?: Record<string, string>
  body?: string
}

/** Calls a path of the API with a token. Returns the API's response unchanged, except that it retries once on a 401. */
export type Call = (path: string, init?: CallInit) => Promise<Response>

/**
 * The client stops using a token this many milliseconds before it expires, so that a slow request does not arrive too
 * late.
 */
const MARGIN = 30_000

export function createMachineClient (
  { api, tokenEndpoint, id, secret, scope, now = Date.now }: MachineClientOptions
): Call {
  // RFC 6749 section 2.3.1: form-encode both before joining them.
  const authorization =
    `Basic ${Buffer.from(`${encodeURIComponent(id)}:${encodeURIComponent(secret)}`).toString('base64')}`

  /** The token, or the pending request for it, so that concurrent calls share one request. */
  let held: { token: Promise<string>, usableUntil: number } | undefined

  async function request (): Promise<{ access_token: string, expires_in: number }> {
    const body = new URLSearchParams({ grant_type: 'client_credentials', ...scope !== undefined && { scope } })
    const response = await fetch(tokenEndpoint, { method: 'POST', headers: { authorization }, body, redirect: 'error' })
    const answer = await response.json() as { access_token: string, expires_in: number, error?: string }
    if (response.status !== 200) throw new Error(`The token request failed: ${response.status} ${answer.error ?? ''}`)
    return answer
  }

  function getToken (): Promise<string> {
    const askedAt = now()
    if (held !== undefined && askedAt < held.usableUntil) return held.token
    const token = request().then(answer => {
      const lifetime = answer.expires_in * 1000
      // If the lifetime is shorter than the margin allows, use the token for half of its lifetime.
      next.usableUntil = askedAt + Math.max(lifetime - MARGIN, lifetime / 2)
      return answer.access_token
    })
    const next = held = { token, usableUntil: Infinity }
    // Do not keep a failure: the next call asks again.
    token.catch(() => forget(token))
    return token
  }

  /** Forgets this token only, because another call may already have a new one. */
  function forget (token: Promise<string>): void {
    if (held?.token === token) held = undefined
  }

  return async function call (path, init = {}) {
    const url = new URL(path, api)
    if (url.origin !== new URL(api).origin) {
      throw new TypeError(`${url.origin} is not the origin of the API, so it must not receive the token`)
    }
    const send = (token: string): Promise<Response> =>
      fetch(url, { ...init, headers: { ...init.headers, authorization: `Bearer ${token}` }, redirect: 'manual' })

    const used = getToken()
    const response = await send(await used)
    if (response.status !== 401) return response
    // The token was revoked, or its key is gone. Retry once; return a second 401 to the caller.
    await response.body?.cancel()
    forget(used)
    return await send(await getToken())
  }
}

/** Builds an API to call, and registers the client. */
export async function build (options: LatchkeyOptions = {}): Promise<{
  app: FastifyInstance
  id: string
  secret: string
}> {
  const app = fastify()
  await app.register(latchkey, { database: ':memory:', scopes: { 'reports:read': 'Read reports' }, ...options })
  // The token belongs to no user. Its `id` is the id of the client.
  app.get('/reports', { preHandler: app.requireScopes('reports:read') }, async ({ user }) => ({
    for: user.id,
    reports: []
  }))
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
