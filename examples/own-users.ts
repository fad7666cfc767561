// An app that already has accounts. Latchkey adds sessions, refresh, revocation and scopes, and needs two methods:
// `authenticate` for a login, and `find` for a refresh. It listens on port 3000:
//
//   node dist/examples/own-users.js

import { randomBytes, randomUUID, scrypt, timingSafeEqual } from 'node:crypto'
import { promisify } from 'node:util'
import { fastify } from 'fastify'
import type { FastifyInstance } from 'fastify'
import latchkey from 'fastify-latchkey'
import type { LatchkeyOptions, User, UserDirectory } from 'fastify-latchkey'

const derive = promisify<string, Buffer, number, Buffer>(scrypt)

interface Account extends User {
  tenant: string
  salt: Buffer
  hash: Buffer
}

export interface Accounts extends UserDirectory {
  add (account: { username: string, password: string, tenant: string, scopes: string[] }): Promise<User>
  setScopes (id: string, scopes: string[]): void
  remove (id: string): void
  tenantOf (id: string): string | undefined
}

/** The accounts of this app. This example uses a Map; a table with its own hashes would have the same interface. */
export function createAccounts (): Accounts {
  const byId = new Map<string, Account>()
  const decoy = { salt: randomBytes(16), hash: randomBytes(32) }

  return {
    async authenticate (username, password) {
      const account = [...byId.values()].find(candidate => candidate.username === username)
      // Hash for unknown names too. Otherwise the response time would reveal which names exist.
      const { salt, hash } = account ?? decoy
      const isRight = timingSafeEqual(await derive(password, salt, 32), hash)
      return isRight && account !== undefined ? account : null
    },
    async find (id) {
      return byId.get(id) ?? null
    },
    async add ({ username, password, tenant, scopes }) {
      const salt = randomBytes(16)
      const account = { id: randomUUID(), username, tenant, scopes, salt, hash: await derive(password, salt, 32) }
      byId.set(account.id, account)
      return account
    },
    setScopes (id, scopes) {
      const account = byId.get(id)
      if (account !== undefined) account.scopes = scopes
    },
    remove (id) {
      byId.delete(id)
    },
    tenantOf: id => byId.get(id)?.tenant
  }
}

export async function build (accounts: Accounts, options: LatchkeyOptions = {}): Promise<FastifyInstance> {
  const app = fastify()

  await app.register(latchkey, {
    database: ':memory:', // The sessions, kept in memory like the Map. Use a file if your accounts are stored.
    scopes: { 'people:write': 'Close accounts' },
    users: accounts,
    // Added to each access token, and read at each login and refresh. Add no personal data: anyone who holds a token
    // can read it.
    claims: user => ({ tenant: accounts.tenantOf(user.id) }),
    ...options
  })

  app.get('/documents', { onRequest: app.authenticate }, async ({ user }) => {
    return { tenant: user.claims.tenant, documents: [] }
  })

  // A refresh would notice that the account is gone. End the sessions as well, so that the access tokens stop working
  // now and not after 15 minutes.
  app.delete<{ Params: { id: string } }>(
    '/people/:id',
    { preHandler: app.requireScopes('people:write') },
    async (request, reply) => {
      accounts.remove(request.params.id)
      await app.latchkey.sessions.endAll(request.params.id)
      return reply.code(204).send()
    }
  )

  return app
}

if (process.argv[1] === import.meta.filename) {
  const accounts = createAccounts()
  await accounts.add({
    username: 'ada',
    password: 'difference engines hum',
    tenant: 'analytical',
    scopes: ['people:write']
  })
  const app = await build(accounts)
  await app.listen({ port: 3000 })
  console.log(`Log in as ada, then set TOKEN to the access_token of the response:

  curl -d username=ada -d 'password=difference engines hum' http://127.0.0.1:3000/token
  curl -H "Authorization: Bearer $TOKEN" http://127.0.0.1:3000/documents`)
}
