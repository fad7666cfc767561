import { randomUUID } from 'node:crypto'
import t from 'tap'
import { createId, timeOfId } from '../../../lib/identity/ids.js'

t.test('an id says its millisecond, and no two are equal', async t => {
  for (const time of [0, 1, 999, Date.UTC(2026, 1, 1), 2 ** 48 - 1]) {
    const id = createId(time)
    t.match(id, /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
    t.equal(timeOfId(id), time)
  }
  const ids = new Set(Array.from({ length: 10_000 }, () => createId(5)))
  t.equal(ids.size, 10_000)
})

t.test('ids sort by their time', async t => {
  t.ok(createId(1) < createId(2))
  t.ok(createId(255) < createId(256))
  t.ok(createId(2 ** 32 - 1) < createId(2 ** 32))
})

t.test('nothing else says a time', async t => {
  const id = createId(5)
  for (const text of [
    '', 'text', randomUUID(), id.slice(1), `${id} `, `{${id}}`, id.replaceAll('-', ''),
    '00000000-0000-0000-0000-000000000000', '__proto__'
  ]) {
    t.equal(timeOfId(text), undefined, text)
  }
  t.equal(timeOfId(id.toUpperCase()), 5, 'letter case does not matter: RFC 9562 section 4')
})
