import t from 'tap'
import { readUserId, textOf, toHostUser, toUserId } from '../../../lib/identity/user-ids.js'

t.test('an integer id and its text are one to one, so no two accounts share an id', async t => {
  for (const id of [0, 5, 10, 2 ** 31, Number.MAX_SAFE_INTEGER]) {
    t.equal(readUserId(id, 'integer'), String(id), String(id))
    t.equal(toUserId(String(id), 'integer'), id)
    t.equal(textOf(id), String(id))
  }
  for (const id of ['5', -1, -0, 1.5, NaN, Infinity, 2 ** 53, 1e21, 5n, null, undefined, true, [5], { valueOf: () => 5 }]) {
    t.equal(readUserId(id, 'integer'), undefined, String(id))
    if (typeof id === 'number') t.throws(() => textOf(id), { message: /an integer from 0 to 9007199254740991/ })
  }
  for (const text of [
    '', '05', '5.0', '5e0', '+5', '-0', '-5', ' 5', '5\n', '٥', '0x5', 'NaN', '9007199254740992', '9007199254740993',
    '99999999999999999999', '0199c2a0-7b1e-7c3d-9a4f-2d5e8b7c6a10', 'lkc_5'
  ]) t.equal(toUserId(text, 'integer'), undefined, text)
})

t.test('a text id stays as it is, and must not look like a client', async t => {
  for (const id of ['5', '05', 'ada', 'x'.repeat(1_024)]) {
    t.equal(readUserId(id, 'text'), id)
    t.equal(toUserId(id, 'text'), id)
    t.equal(textOf(id), id)
  }
  for (const id of [5, 5n, '', 'latchkey', 'lkc_5', 'x'.repeat(1_025), null]) t.equal(readUserId(id, 'text'), undefined, String(id))
})

t.test('toHostUser gives the app the id that it knows', async t => {
  t.same(toHostUser({ id: '5', username: 'ada' }, 'integer'), { id: 5, username: 'ada' })
  t.same(toHostUser({ id: '5', username: 'ada' }, 'text'), { id: '5', username: 'ada' })
})
