import { once } from 'node:events'
import { request } from 'node:http'
import type { IncomingMessage } from 'node:http'
import { setTimeout as delay } from 'node:timers/promises'
import t from 'tap'
import { bearer, createTestClock } from '../helper.js'
import { follow, insertRules, isState, tokenOf } from '../routes/feed-support.js'
import { addClient, databaseFile, listen } from '../routes/support.js'
import { buildService } from './support.js'

const MINUTE = 60_000

t.test('no time limit of the service ends a stream that is well, though it takes longer than each', async t => {
  const app = await buildService(
    t, {},
    { headersTimeout: 100, requestTimeout: 150, keepAliveTimeout: 100, connectionTimeout: 400, checkInterval: 20 }
  )
  const origin = await listen(app)
  const receiver = await follow(t, origin, await tokenOf(app, await addClient(app, { scopes: ['revocations:read'] })))
  await delay(1_000)
  const from = receiver.received.length
  await receiver.until(isState, from)
  t.ok(from >= 4, `${from} events`)
})

t.test('a stream has the headers that every answer has, and those for pages of other origins', async t => {
  const app = await buildService(t, { corsOrigins: ['https://app.example.com'] })
  const origin = await listen(app)
  const token = await tokenOf(app, await addClient(app, { scopes: ['revocations:read'] }))
  const outgoing = request(
    `${origin}/revocations`,
    { headers: { ...bearer(token), accept: 'text/event-stream', origin: 'https://app.example.com' } }
  ).end()
  const [{ headers }] = await once(outgoing, 'response') as [IncomingMessage]
  t.match(headers, {
    'content-type': 'text/event-stream',
    'x-content-type-options': 'nosniff',
    'content-security-policy': /default-src 'none'/,
    'access-control-allow-origin': 'https://app.example.com',
    vary: 'Origin, Accept',
    connection: 'close',
    'content-encoding': undefined
  })
  outgoing.on('error', () => {}).destroy()
})

t.test('closing ends the streams at once, also one whose receiver takes nothing', async t => {
  const file = databaseFile(t)
  const clock = createTestClock()
  const app = await buildService(t, { database: file, now: clock })
  const origin = await listen(app)
  insertRules(file, 200_000, clock() + MINUTE)
  const token = await tokenOf(app, await addClient(app, { scopes: ['revocations:read'] }))
  await follow(t, origin, token, { paused: true })
  const level = await follow(t, origin, token)
  await level.until(isState)

  const begin = performance.now()
  const closed = app.close()
  await level.ended
  t.ok(level.response.complete, 'it was ended, not cut')
  const ended = performance.now() - begin
  await closed
  t.comment(
    `the stream ended after ${ended.toFixed(0)} ms, the service after ${(performance.now() - begin).toFixed(0)} ms`
  )
  t.ok(performance.now() - begin < 5_000, 'nothing was waited for but the farewell')
})
