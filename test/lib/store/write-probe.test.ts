import t from 'tap'
import { createWriteProbe } from '../../../lib/store/write-probe.js'
import { createStopwatch } from '../support.js'

t.test('callers at the same time share one write, a success holds for a second, and a failure is not reused', async t => {
  const stopwatch = createStopwatch(t)
  let writes = 0
  let isDown = true
  const proveWritable = createWriteProbe(async () => {
    writes++
    if (isDown) throw new Error('read-only')
  })
  await Promise.all(Array.from({ length: 50 }, async () => await t.rejects(proveWritable(), { message: 'read-only' })))
  t.equal(writes, 1)
  isDown = false
  await Promise.all(Array.from({ length: 50 }, async () => await proveWritable()))
  t.equal(writes, 2)
  stopwatch.move(999)
  isDown = true
  await proveWritable()
  t.equal(writes, 2)
  // More than one, because of the rounding of such numbers.
  stopwatch.move(2)
  await t.rejects(proveWritable(), { message: 'read-only' })
  t.equal(writes, 3)
})
