// An app whose own accounts have integers as ids, and which declares that.
import Fastify from 'fastify'
import latchkey, { authenticate } from 'fastify-latchkey'
import type { AuthenticatedUser, LatchkeyOptions, UserDirectory } from 'fastify-latchkey'
import type { VerifierOptions } from 'fastify-latchkey/verifier'
import type { VerifierPluginOptions } from 'fastify-latchkey/verifier/plugin'

declare module 'fastify-latchkey' {
  interface LatchkeyTypes { userId: number }
}

interface Account { id: number, username: string, scopes: string[] }
const table = new Map<number, Account>([[5, { id: 5, username: 'ada', scopes: ['admin'] }]])
const users: UserDirectory = {
  authenticate: async (username) => [...table.values()].find(account => account.username === username) ?? null,
  find: async (id) => table.get(id) ?? null
}
const options: LatchkeyOptions = {
  database: ':memory:', users, userIds: 'integer', scopes: { admin: 'Administer' }, claims: ({ id }) => ({ twice: id * 2 })
}
// @ts-expect-error the ids are declared as integers, so the option must say so
const forgotten: LatchkeyOptions = { users }
// @ts-expect-error the verifier needs it too
const remote: VerifierOptions = { issuer: 'https://auth.example.com', revocations: 'none' }
// @ts-expect-error and its plugin
const plugin: VerifierPluginOptions = { issuer: 'https://auth.example.com', revocations: 'none', userIds: 'text' }
// @ts-expect-error text is no id of this app
const texts: UserDirectory = { ...users, find: async (id: string) => null }
const both: VerifierPluginOptions = { issuer: 'https://auth.example.com', revocations: 'none', userIds: 'integer' }

const app = Fastify()
await app.register(latchkey, options)
app.get('/me', { onRequest: authenticate }, async ({ user }) => table.get(user.id) ?? null)
app.delete('/me', { onRequest: authenticate }, async ({ user }: { user: AuthenticatedUser }) => (
  { ended: await app.latchkey.sessions.endAll(user.id), twice: user.claims.twice }
))

const login = await app.inject({ method: 'POST', url: '/token', payload: { username: 'ada', password: 'any' } })
const { access_token: token } = login.json<{ access_token: string }>()
const headers = { authorization: `Bearer ${token}` }
const me: unknown = (await app.inject({ url: '/me', headers })).json()
const ended: unknown = (await app.inject({ method: 'DELETE', url: '/me', headers })).json()
const after = (await app.inject({ url: '/me', headers })).statusCode
console.log(JSON.stringify({ me, ended, after, unused: [forgotten, remote, plugin, texts, both].length }))
await app.close()
