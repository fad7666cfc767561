// @fastify/jwt alone. It is stateless, so no token can be revoked before it expires. The argument is HS256 or ES256.
//
// Based on https://github.com/fastify/fastify-jwt#readme ("Usage": `request.jwtVerify()` in an `onRequest` hook of the
// route).

import { announce } from './announce.js'
import { createApp, logIn } from './fastify-jwt-app.js'
import { ITEM, ITEM_SCHEMA } from './item.js'

const { app, login, expired, forged } = await createApp(process.argv[2])

async function authenticate (request, reply) {
  await request.jwtVerify()
  if (!request.user.scope.split(' ').includes('items:read')) return reply.code(403).send({ message: 'Missing scope' })
}

app.get('/items/1', { onRequest: authenticate, schema: { response: { 200: ITEM_SCHEMA } } }, async () => ITEM)

const url = await app.listen({ host: '127.0.0.1', port: 0 })
announce({ url, headers: { good: await logIn(url, login), expired, forged }, login })
