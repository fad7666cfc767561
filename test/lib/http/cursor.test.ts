import t from 'tap'
import { formatCursor, parseCursor } from '../../../lib/http/cursor.js'

t.test('a cursor comes back as it was, and everything else is refused', async t => {
  for (const position of [
    'a', 'alice', '\u00e4\u00f6', '\ud83d\udd11', ' ', 'a\u0000b', 'x'.repeat(500)
  ]) t.equal(parseCursor(formatCursor(position)), position)
  t.match(formatCursor('\ud83d\udd11??>>'), /^[\w-]+$/)
  for (const cursor of ['', 'a', 'YQ==', 'YR', 'YQ\n', 'Y Q', '+/8', '_w', '7aCA', '*']) {
    t.throws(() => parseCursor(cursor), { code: 'invalid_request', statusCode: 400 }, JSON.stringify(cursor))
  }
})
