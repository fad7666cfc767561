import { setTimeout as delay } from 'node:timers/promises'
import { fastify } from 'fastify'
import t from 'tap'
import { storeUnavailable } from '../../lib/store/store.js'
import { createFailureLog } from '../../plugins/adapters/failure-log.js'
import errors from '../../plugins/errors.js'
import settings from '../../plugins/settings.js'
import { assertProblem } from '../routes/support.js'

t.test('a repeated failure causes two lines, and a failure of another kind has its own', async t => {
  const lines: Array<[details: object, message: string]> = []
  const log = { warn: (details: object, message = '') => { lines.push([details, message]) } }
  const failures = createFailureLog(log, 50)
  const begun: string[] = []
  for (let times = 0; times < 10; times++) {
    failures.note('the link is lost', () => { begun.push('lost') })
    if (times < 3) failures.note('the disk is full', () => { begun.push('full') })
    await delay(10)
  }
  t.same(begun, ['lost', 'full'])
  await delay(150)
  t.match(lines, [
    [{ count: 3, seconds: Number }, 'resolved: the disk is full'],
    [{ count: 10, seconds: Number }, 'resolved: the link is lost']
  ])
  failures.note('the link is lost', () => { begun.push('lost again') })
  t.equal(begun.at(-1), 'lost again', 'a new one after the end')
  failures.close()
  await delay(80)
  t.equal(lines.length, 2, 'and no line after the end of the process')
})

t.test('a hundred requests that fail because of the store cause one line, and the debug log has the others', async t => {
  const lines: Array<{ level: number, msg: string, err?: { message: string } }> = []
  const stream = { write (line: string) { lines.push(JSON.parse(line)) } }
  const app = fastify({ logger: { level: 'debug', stream } })
  t.teardown(() => app.close())
  await app.register(settings, { options: {} })
  await app.register(errors)
  let attempts = 0
  app.get('/work', async () => { throw storeUnavailable(new Error(`reason ${++attempts}`)) })
  for (let times = 0; times < 100; times++) assertProblem(t, await app.inject('/work'), 503, 'store_unavailable')
  const loud = lines.filter(({ level }) => level >= 40)
  const msg = 'The database is not available: try again in a moment.'
  t.match(loud, [{ level: 50, msg, err: { message: 'reason 1' } }])
  t.equal(loud.length, 1)
  t.equal(lines.filter(line => line.level === 20 && line.msg === msg).length, 100)
})
