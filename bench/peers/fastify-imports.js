// Fastify that imports the packages of the service, opens an empty database and listens: the minimum that such a
// service needs to start.
import { fastify } from 'fastify'
import '@fastify/cookie'
import '@fastify/helmet'
import '@fastify/jwt'
import '@fastify/rate-limit'
import '@fastify/swagger'
import '@fastify/type-provider-typebox'
import '@fastify/under-pressure'
import 'bcryptjs'
import Database from 'better-sqlite3'
import 'fastify-plugin'
import 'kysely'
import 'piscina'
import 'typebox'

const database = new Database('empty.db')
const app = fastify()
app.get('/', async () => ({ ok: true }))
app.addHook('onClose', async () => database.close())
console.log('listening at', await app.listen({ host: '127.0.0.1', port: Number(process.env.PORT ?? 0) }))
