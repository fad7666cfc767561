import { Type } from '@fastify/type-provider-typebox'
import type { FastifyInstance } from 'fastify'
import type { Test } from 'tap'
import latchkey from '../../app.js'
import { logIn, PASSWORD } from '../helper.js'
import { createHost, listen } from '../routes/support.js'
import { openConnection } from './connection.js'
import type { Connection } from './connection.js'

/** What a route is, but for what guards it. */
export const ROUTE = {
  schema: { response: { 200: Type.Object({ id: Type.Integer(), name: Type.String(), price: Type.Number() }) } },
  handler: async (): Promise<object> => ({ id: 1, name: 'Lamp', price: 12.5 })
} as const

export interface ListeningHost {
  app: FastifyInstance
  /** Its database. */
  file: string
  connection: Connection
  /** Sends so many requests at once (default: one). Rejects where one is not answered with 200. */
  send (path: string, header: string, times?: number): Promise<void>
  /** An access token of `alice`, who has `items:read`. */
  token: string
}

/**
 * A host that listens, with our defaults on a file: `/guarded` asks for `items:read`, and `/bare` is the same route
 * without a guard.
 * @param arrange - adds what comes before Latchkey.
 */
export async function buildListeningHost (t: Test, arrange: (app: FastifyInstance) => void): Promise<ListeningHost> {
  const file = `${t.testdir({})}/auth.db`
  const app = createHost(t)
  arrange(app)
  await app.register(latchkey, { database: file, bcryptCost: 4, scopes: { 'items:read': 'Read items' } })
  app.get('/bare', ROUTE)
  app.get('/guarded', { ...ROUTE, preHandler: app.requireScopes('items:read') })
  await listen(app)
  await app.latchkey.users.add({ username: 'alice', password: PASSWORD, scopes: ['items:read'] })

  const connection = await openConnection(t, app)
  return {
    app,
    file,
    connection,
    async send (path, header, times) {
      const refused = (await connection.send(path, header, times)).find(status => status !== 200)
      if (refused !== undefined) throw new Error(`${path}: ${refused}`)
    },
    token: (await logIn(app)).access_token
  }
}

/**
 * A cookie of the host's own, which must be decoded: the parser does that once each time that it is given the header.
 */
export const TELLTALE = 'theme=a%20telltale'

/** The ways in which a request carries a token: a header each. */
export function carriersOf (token: string): { header: string, cookie: string } {
  return { header: `Authorization: Bearer ${token}`, cookie: `Cookie: ${TELLTALE}; __Host-access_token=${token}` }
}
