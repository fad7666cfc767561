import t from 'tap'
import { createDeferredWrites } from '../../../lib/store/deferred-writes.js'
import { createGate, openStore } from '../support.js'

t.test('notes are written together, the last of each key, and each once', async t => {
  const store = await openStore(t, ':memory:')
  const written: Array<readonly [string, number]> = []
  const writes = createDeferredWrites<number>(store, {
    async write (_trx, notes) { written.push(...notes) },
    onFailure (error) { throw error }
  })
  t.ok(writes.note('a', 1))
  t.ok(writes.note('b', 1))
  t.ok(writes.note('a', 2))
  t.equal(writes.waiting('a'), 2)
  await writes.flush()
  t.strictSame(written, [['a', 2], ['b', 1]])
  t.equal(writes.waiting('a'), undefined)
  await writes.flush()
  t.equal(written.length, 2)
})

t.test('many notes take several transactions, so that none blocks others for long', async t => {
  const store = await openStore(t, ':memory:')
  const sizes: number[] = []
  const writes = createDeferredWrites<true>(store, {
    async write (_trx, notes) { sizes.push(notes.length) },
    onFailure (error) { throw error }
  })
  for (let number = 0; number < 250; number++) writes.note(String(number), true)
  await writes.flush()
  t.strictSame(sizes, [100, 100, 50])
})

t.test('a failure keeps the notes, and the next write has them', async t => {
  const store = await openStore(t, ':memory:')
  let isBroken = true
  const written: string[] = []
  const writes = createDeferredWrites<true>(store, {
    async write (_trx, notes) {
      if (isBroken) throw new Error('broken')
      written.push(...notes.map(([key]) => key))
    },
    onFailure () {}
  })
  writes.note('a', true)
  await t.rejects(writes.flush())
  t.equal(writes.waiting('a'), true)
  isBroken = false
  writes.note('b', true)
  await writes.flush()
  t.strictSame(written, ['a', 'b'])
})

t.test('a note that arrives during a write is not lost', async t => {
  const store = await openStore(t, ':memory:')
  const gate = createGate()
  const written: number[] = []
  const writes = createDeferredWrites<number>(store, {
    async write (_trx, notes) {
      written.push(...notes.map(([, value]) => value))
      if (written.length === 1) await gate.pass()
    },
    onFailure (error) { throw error }
  })
  writes.note('a', 1)
  const flushing = writes.flush()
  await new Promise(resolve => setImmediate(resolve))
  writes.note('a', 2)
  gate.open()
  await flushing
  t.equal(writes.waiting('a'), 2)
  await writes.flush()
  t.strictSame(written, [1, 2])
})

t.test('while the store cannot be written to, the memory stays bounded', async t => {
  const store = await openStore(t, ':memory:')
  const writes = createDeferredWrites<true>(store, { async write () { throw new Error('broken') }, onFailure () {} })
  for (let number = 0; number < 10_000; number++) writes.note(String(number), true)
  t.notOk(writes.note('one more', true))
  t.ok(writes.note('0', true), 'a known key takes no more memory')
})
