import { EventSource } from 'eventsource'
import t from 'tap'
import { createClient } from '../../client/index.js'
import { createTestClock, PASSWORD } from '../helper.js'
import { createIssuer } from '../verifier/support.js'

// The EventSource of a browser sends no Authorization header. The one of the package eventsource takes a fetch.

t.test('an EventSource with the fetch of the client sends a token that lasts, again when it reconnects', async t => {
  const clock = createTestClock()
  const { app, issuer } = await createIssuer(t, { now: clock }, async app => {
    app.get('/events', { onRequest: app.authenticate }, async ({ user }, reply) => {
      reply.type('text/event-stream')
      return `retry: 1\ndata: ${user.id}\n\n`
    })
  })
  const alice = await app.latchkey.users.findByName('alice')
  const client = createClient({ url: issuer, now: clock })
  await client.logIn({ username: 'alice', password: PASSWORD })
  const source = new EventSource(`${issuer}/events`, { fetch: client.fetch })
  t.teardown(() => source.close())
  for (const round of ['first', 'after the expiry', 'again']) {
    const event = await new Promise<{ data: unknown }>((resolve, reject) => {
      source.onmessage = resolve
      source.onerror = error => { if (error.code !== undefined) reject(error) }
    })
    t.equal(event.data, alice?.id, round)
    clock.move(16 * 60_000)
  }
})
