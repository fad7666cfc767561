import { setImmediate as nextTurn } from 'node:timers/promises'
import t from 'tap'
import type { Test } from 'tap'
import { createFileChanges, noteCommit } from '../../../../lib/store/sqlite/changes.js'

/** A file whose version the test sets, and a stopwatch that stands still until the test moves it. */
function createFile (t: Test): {
  changes: ReturnType<typeof createFileChanges>,
  file: { version: number, looks: number, broken: boolean },
  wait: (milliseconds: number) => void
} {
  let now = 1_000
  t.intercept(performance, 'now', { value: () => now })
  const file = { version: 1, looks: 0, broken: false }
  const changes = createFileChanges(function readVersion () {
    file.looks++
    if (file.broken) throw new Error('broken')
    return file.version
  })
  file.looks = 0
  return { changes, file, wait: milliseconds => { now += milliseconds } }
}

t.test('one look serves a turn of the event loop, and the next turn looks again', async t => {
  const { changes, file } = createFile(t)
  for (let request = 0; request < 1_000; request++) t.equal(changes.changed(), false)
  t.equal(file.looks, 1)
  file.version = 2
  await nextTurn()
  t.equal(changes.changed(), true)
  t.equal(changes.changed(), false, 'told once')
  t.equal(file.looks, 2)
})

t.test('in a turn that takes long a look grows old', async t => {
  const { changes, file, wait } = createFile(t)
  changes.changed()
  file.version = 2
  wait(0.9)
  t.equal(changes.changed(), false)
  wait(0.1)
  t.equal(changes.changed(), true)
})

t.test('what this process commits itself is looked for at once', async t => {
  const { changes, file } = createFile(t)
  changes.changed()
  file.version = 2
  noteCommit()
  t.equal(changes.changed(), true)
})

t.test('a file that cannot be looked at is said so each time, and holds no look', async t => {
  const { changes, file } = createFile(t)
  file.broken = true
  t.throws(changes.changed, { message: 'broken' })
  t.throws(changes.changed, { message: 'broken' })
  Object.assign(file, { broken: false, version: 2 })
  t.equal(changes.changed(), true)
})

t.test('complete as of the look, and only once it was told', async t => {
  const { changes, file, wait } = createFile(t)
  changes.changed()
  t.equal(changes.asOf(), 1_000)
  wait(0.5)
  t.equal(changes.asOf(), 1_000, 'that is when it was looked at')
  file.version = 2
  wait(1)
  t.equal(changes.asOf(), 1_000, 'there is something that was not told')
  changes.changed()
  t.equal(changes.asOf(), 1_001.5)
  file.broken = true
  wait(5)
  t.equal(changes.asOf(), 1_001.5)
})
