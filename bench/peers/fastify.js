// Bare Fastify, the upper limit. It reads no credentials.
//
// Based on https://fastify.dev/docs/latest/Guides/Getting-Started/ ("Serialize your data": a response schema).

import Fastify from 'fastify'
import { announce } from './announce.js'
import { ITEM, ITEM_SCHEMA } from './item.js'

const app = Fastify()

app.get('/items/1', { schema: { response: { 200: ITEM_SCHEMA } } }, async () => ITEM)

const url = await app.listen({ host: '127.0.0.1', port: 0 })
announce({ url, headers: { good: {} } })
