import fc from 'fast-check'
import t from 'tap'
import { formatUsers, readUserFile, UserFileError } from '../../../../lib/users/transfer/file.js'
import type { UserFileFormat } from '../../../../lib/users/transfer/file.js'
import type { UserRecord } from '../../../../schemas/users.js'

/** In pieces of a few bytes: a line, a character or CRLF may be cut anywhere. */
async function * inPieces (content: Buffer, size: number): AsyncGenerator<Buffer> {
  for (let start = 0; start < content.length; start += size) yield content.subarray(start, start + size)
}

async function read (content: string | Buffer, format: UserFileFormat, size = 7): Promise<object[]> {
  const rows = []
  for await (const row of readUserFile(inPieces(Buffer.from(content as string), size), format)) rows.push(row)
  return rows
}

const LONG = 'x'.repeat(70_000)

t.test('NDJSON: a line that cannot be read is one bad row', async t => {
  const text = [
    '\ufeff{"username":"alice"}\r', '', '{"username":"b', 'nonsense', '[1]', '   \r', '{"username":"\u{1F600}"}',
    `{"username":"${LONG}"}`, '{"username":"last"}'
  ].join('\n')
  t.same(await read(text, 'ndjson'), [
    { line: 1, value: { username: 'alice' } },
    { line: 3, problem: 'it is not JSON' },
    { line: 4, problem: 'it is not JSON' },
    { line: 5, value: [1] },
    { line: 7, value: { username: '\u{1F600}' } },
    { line: 8, problem: 'it is longer than 65536 bytes' },
    { line: 9, value: { username: 'last' } }
  ])
  const bytes = Buffer.concat([
    Buffer.from('{"username":"'), Buffer.from([0xFF]), Buffer.from('"}\n{"username":"b"}\n')
  ])
  t.same(
    await read(bytes, 'ndjson', 1),
    [{ line: 1, problem: 'it is not valid UTF-8' }, { line: 2, value: { username: 'b' } }]
  )
  t.same(await read('', 'ndjson'), [])
  t.same(await read(`${'['.repeat(60_000)}\n`, 'ndjson', 1_000), [{ line: 1, problem: 'it is not JSON' }])
})

t.test('CSV: quotes, line breaks, and bad rows among good ones', async t => {
  const lines = [
    '\ufeffusername,password_hash,scopes,disabled\r',
    'alice,h1,a  b,true\r',
    '"bob ""the"" b","h',
    '2",,false\r',
    '',
    'dave,h4,,',
    'frank,h6,,TRUE',
    '"gina"x,h7,,',
    'hal,h8',
    'ivy,h9,,,',
    'kim,\u{1F600},,'
  ]
  t.same(await read(lines.join('\n'), 'csv'), [
    { line: 2, value: { username: 'alice', password_hash: 'h1', scopes: ['a', 'b'], disabled: true } },
    { line: 3, value: { username: 'bob "the" b', password_hash: 'h\n2', scopes: [], disabled: false } },
    { line: 6, value: { username: 'dave', password_hash: 'h4', scopes: [] } },
    { line: 7, value: { username: 'frank', password_hash: 'h6', scopes: [], disabled: 'TRUE' } },
    { line: 8, problem: 'its quotes are not valid CSV' },
    { line: 9, problem: 'it has 2 columns, but the first line names 4' },
    { line: 10, problem: 'it has 5 columns, but the first line names 4' },
    { line: 11, value: { username: 'kim', password_hash: '\u{1F600}', scopes: [] } }
  ])
  t.same(await read('', 'csv'), [])
})

t.test('CSV: what may stand between quotes is never taken for rows, whatever somebody has put there', async t => {
  const attacker = 'attacker,hash,users:write'
  for (const [name, cell, problem] of [
    ['many lines', Buffer.from(`"evil${'\n'.repeat(10)}${attacker}\n"`), 'it has a quote that is not closed'],
    [
      'no UTF-8 on the line with the quote',
      Buffer.concat([Buffer.from('"evil'), Buffer.from([0xFF]), Buffer.from(`\n${attacker}\n"`)]),
      'it is not valid UTF-8'
    ],
    [
      'no UTF-8 on a later line',
      Buffer.concat([Buffer.from('"evil\n'), Buffer.from([0xFF]), Buffer.from(`\n${attacker}\n"`)]),
      'it has a quote that is not closed'
    ],
    ['a long line', Buffer.from(`"evil${LONG}\n${attacker}\n"`), 'it is longer than 65536 bytes'],
    ['a stray quote', Buffer.from(`ca"rol,,\n${attacker}\n"x`), 'its quotes are not valid CSV']
  ] as const) {
    const rows = await read(
      Buffer.concat([Buffer.from('username,password_hash,scopes\nalice,h1,\n'), cell, Buffer.from(',h2,\nbob,h3,\n')]),
      'csv'
    )
    t.same(
      rows,
      [
        { line: 2, value: { username: 'alice', password_hash: 'h1', scopes: [] } },
        { line: 3, problem: `${problem}; nothing from here on was read` }
      ],
      name
    )
  }
})

t.test('CSV without the names of the columns is refused, and what stands there is not told', async t => {
  for (const [text, says] of [
    ['alice,hunter2hunter2\n', /name 1 is not a known column\. Use these names: id, username/],
    ['username,hunter2hunter2\n', /name 2 is not a known column/],
    ['username,password,username\n', /twice/],
    ['"username\nx,y\n', /^The first line does not name the columns: it has a quote/]
  ] as const) {
    await t.rejects(read(text, 'csv'), { message: says })
    await read(text, 'csv').catch((error: unknown) => {
      t.type(error, UserFileError)
      t.notMatch((error as Error).message, /hunter2/)
    })
  }
})

t.test('whatever is written is read as it was, in both formats', async t => {
  const record = fc.record(
    {
      id: fc.uuid(),
      username: fc.string({ unit: 'binary', minLength: 1, maxLength: 20 }).filter(text => !/[\r\n\p{Cs}]/u.test(text)),
      password_hash: fc.string({ minLength: 1, maxLength: 20 }),
      scopes: fc.array(fc.constantFrom('a', 'b:c', '"'), { maxLength: 3 }),
      roles: fc.array(fc.constantFrom('editor', 'x'), { maxLength: 2 }),
      disabled: fc.boolean(),
      created_at: fc.constant('2026-11-03T12:00:00.000Z')
    },
    { noNullPrototype: true }
  )
  await fc.assert(fc.asyncProperty(fc.array(
    record, { minLength: 1, maxLength: 5 }
  ), fc.integer({ min: 1, max: 100 }), async (users: UserRecord[], size) => {
    for (const format of ['ndjson', 'csv'] as const) {
      const text = formatUsers(
        users.slice(0, 2), format, { isFirst: true }
      ) + formatUsers(users.slice(2), format, { isFirst: false })
      const values = (await read(text, format, size)).map(row => (row as { value: UserRecord }).value)
      t.strictSame(values, users)
    }
  }), { numRuns: 50 })
  t.equal(formatUsers([], 'csv', { isFirst: true }), 'id,username,password_hash,scopes,roles,disabled,created_at\n')
})
