import { fastify } from 'fastify'
import type { FastifyInstance } from 'fastify'
import t from 'tap'
import type { Test } from 'tap'
import errors from '../../plugins/errors.js'
import loadShedding, { BOUNDS } from '../../plugins/load-shedding.js'
import settings from '../../plugins/settings.js'
import { assertProblem } from '../routes/support.js'

async function build (t: Test, shedLoad: boolean, bounds: object): Promise<FastifyInstance> {
  const app = fastify()
  t.teardown(() => app.close())
  await app.register(settings, { options: { shedLoad } })
  await app.register(errors)
  await app.register(loadShedding, { sampleInterval: 10, ...bounds })
  app.get('/work', async () => 'done')
  app.get('/health', { config: { answersUnderPressure: true } }, async () => 'ok')
  await app.ready()
  return app
}

/** Until it was looked at the process for the first time. */
async function sampled (app: FastifyInstance): Promise<void> {
  while (app.memoryUsage().heapUsed === 0) await new Promise(resolve => setTimeout(resolve, 5))
}

t.test('over a bound a request is refused at once, with the time to come again; what tells how the service is answers', async t => {
  const app = await build(t, true, { maxHeapUsedBytes: 1 })
  t.equal((await app.inject('/work')).statusCode, 200, 'not before it was looked')
  await sampled(app)
  const refused = await app.inject('/work')
  assertProblem(t, refused, 503, 'overloaded')
  t.equal(refused.headers['retry-after'], '3')
  t.equal((await app.inject('/health')).statusCode, 200)
})

t.test('within the bounds nothing is refused', async t => {
  const app = await build(t, true, { maxEventLoopDelay: 1_000_000, sampleInterval: 100 })
  await sampled(app)
  t.equal((await app.inject('/work')).statusCode, 200)
  t.equal(BOUNDS.maxEventLoopDelay, 1_000)
  t.ok(BOUNDS.maxHeapUsedBytes > 100 * 1024 * 1024, 'a good part of the heap')
})

t.test('off means that nothing is looked at', async t => {
  const app = await build(t, false, { maxHeapUsedBytes: 1 })
  t.notOk(app.hasDecorator('memoryUsage'))
  t.equal((await app.inject('/work')).statusCode, 200)
})
