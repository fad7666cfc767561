// @fastify/jwt (HS256) with a table of revoked tokens, as people write it by hand today. The argument is the number of
// tokens in the table (1,000 by default).
//
// Based on https://github.com/fastify/fastify-jwt#readme ("trusted": the option for a blacklist; this one returns no
// promise) and https://github.com/WiseLibs/better-sqlite3/blob/master/docs/performance.md (WAL). Statements are
// prepared once.

import { randomUUID } from 'node:crypto'
import { join } from 'node:path'
import Database from 'better-sqlite3'
import { announce, makeTemporaryFolder } from './announce.js'
import { createApp, logIn } from './fastify-jwt-app.js'
import { ITEM, ITEM_SCHEMA } from './item.js'

const rows = Number(process.argv[2] ?? 1_000)
if (!Number.isSafeInteger(rows)) throw new Error('Give a number of revoked tokens')

const database = new Database(join(makeTemporaryFolder(), 'revoked.db'))
database.pragma('journal_mode = WAL')
database.exec('create table revoked_tokens (jti text primary key, expires_at integer not null)')
const find = database.prepare('select 1 from revoked_tokens where jti = ?')
const insert = database.prepare('insert or ignore into revoked_tokens (jti, expires_at) values (?, ?)')

database.transaction(() => {
  const expiresAt = Math.floor(Date.now() / 1000) + 3600
  // Insert in order: in random order, each of a million rows would change another page.
  for (const jti of Array.from({ length: rows }, () => randomUUID()).sort()) insert.run(jti, expiresAt)
})()

const { app, login, expired, forged } = await createApp('HS256', {
  trusted: (request, token) => find.get(token.jti) === undefined
})

async function authenticate (request, reply) {
  await request.jwtVerify()
  if (!request.user.scope.split(' ').includes('items:read')) return reply.code(403).send({ message: 'Missing scope' })
}

app.get('/items/1', { onRequest: authenticate, schema: { response: { 200: ITEM_SCHEMA } } }, async () => ITEM)

app.post('/logout', { onRequest: authenticate }, async (request, reply) => {
  insert.run(request.user.jti, request.user.exp)
  return reply.code(204).send()
})

const url = await app.listen({ host: '127.0.0.1', port: 0 })
const revoked = await logIn(url, login)
await fetch(`${url}/logout`, { method: 'POST', headers: revoked })
announce({ url, headers: { good: await logIn(url, login), expired, forged, revoked }, login })
