import { access, readFile } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import t from 'tap'
import { listTests } from '../../scripts/shards.js'

// docs/standards.md says for each row of the standards what we do and which test proves it. These tests check that.

/** The sources, not `dist`. */
const root = join(import.meta.dirname, '..', '..', '..')

const ROW = '(?:RFC \\d+(?:bis)?|ASVS|NIST|RateLimit) \\d+(?:\\.\\d+)*'

/** A test that proves rows says so at the beginning of its title. */
const TITLE = new RegExp(`^(${ROW}(?:, ${ROW})*): .`)

function rowsOf (title: string): string[] {
  return TITLE.exec(title)?.[1]?.split(', ') ?? []
}

/** The titles of the tests in a source that are written out. */
function titlesOf (source: string): string[] {
  return [
    ...source.matchAll(/\btest\(\s*('(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*")/g)
  ].map(([, literal = '']) => literal.slice(1, -1).replace(/\\(.)/g, '$1'))
}

/** What each row of the tables with the columns row, what we do, test names as its tests. */
function proofsOf (document: string): Array<[row: string, titles: string[]]> {
  const [, ...tables] = document.split(/^\| row \| what we do \| test \|$/m)
  return tables.flatMap(table => {
    const [body = ''] = table.split(/\n\n/)
    return body.trim().split('\n').slice(1).map((line): [string, string[]] => {
      const [, row = '', , tests = ''] = line.split(/ ?(?<!\\)\| ?/)
      return [row, [...tests.matchAll(/`([^`]*)`/g)].map(([, title = '']) => title)]
    })
  })
}

/**
 * What is wrong, a sentence each. `ours`: the titles of the tests in this folder, which are here for the rows that they
 * name.
 */
function findGaps (document: string, titles: readonly string[], ours: readonly string[]): string[] {
  const proofs = proofsOf(document)
  const named = new Map(proofs)
  return [
    ...proofs.filter((
      [row], index
    ) => !new RegExp(`^${ROW}$`).test(row) || proofs.findIndex(([other]) => other === row) !== index).map((
      [row]
    ) => `'${row}' is no row, or is there twice`),
    ...proofs.filter(([, tests]) => tests.length === 0).map(([row]) => `${row} names no test`),
    ...proofs.flatMap((
      [row, tests]
    ) => tests.filter(test => !titles.includes(test)).map(test => `${row} names a test that does not exist: ${test}`)),
    ...proofs.flatMap((
      [row, tests]
    ) => tests.filter(test => !rowsOf(test).includes(row)).map(
      test => `${row} names a test that does not name it: ${test}`
    )),
    ...ours.filter(title => rowsOf(title).length === 0).map(title => `a test in test/standards names no row: ${title}`),
    ...ours.flatMap(
      title => rowsOf(title).filter(row => !named.get(row)?.includes(title)).map(
        row => `the table lacks ${row} of the test: ${title}`
      )
    )
  ]
}

t.test('each row of docs/standards.md names tests that there are, and each test in test/standards is in a row', async t => {
  const document = await readFile(join(root, 'docs', 'standards.md'), 'utf8')
  const files = await listTests(root)
  const sources = await Promise.all(files.map(
    async file => ({ file, titles: titlesOf(await readFile(join(root, 'test', file), 'utf8')) })
  ))
  const titles = sources.flatMap(source => source.titles)
  const ours = sources.filter((
    { file }
  ) => dirname(file) === 'standards' && basename(file) !== 'coverage.test.ts').flatMap(source => source.titles)
  t.ok(proofsOf(document).length > 50 && ours.length > 10, 'they were found')
  t.strictSame(findGaps(document, titles, ours), [])
})

t.test('each file that docs/security.md and docs/standards.md point to is there', async t => {
  const pages = ['security.md', 'standards.md'].map(page => readFile(join(root, 'docs', page), 'utf8'))
  const document = (await Promise.all(pages)).join('\n')
  const files = new Set(
    [
      ...document.matchAll(/`((?:lib|plugins|routes|schemas|commands|test)\/[\w./-]+|server\.ts|app\.ts)`/g)
    ].map(([, file = '']) => file)
  )
  t.ok(files.size > 10)
  for (const file of files) await t.resolves(access(join(root, file)), file)
})

t.test('the check finds what it is there for', async t => {
  const document =
    '| row | what we do | test |\n| --- | --- | --- |\n| RFC 1 2.3 | a | `RFC 1 2.3: yes`<br>`RFC 1 2.3: no` |\n| NIST 1 | b |  |\n| ASVS 1.1 | c | `RFC 1 2.3: yes` |\n| nonsense | d | `RFC 1 2.3: yes` |\n\nText.\n'
  t.strictSame(findGaps(document, ['RFC 1 2.3: yes', 'RFC 1 2.4: elsewhere'], ['RFC 1 2.3, ASVS 2: more', 'something else']), [
    "'nonsense' is no row, or is there twice",
    'NIST 1 names no test',
    'RFC 1 2.3 names a test that does not exist: RFC 1 2.3: no',
    'ASVS 1.1 names a test that does not name it: RFC 1 2.3: yes',
    'nonsense names a test that does not name it: RFC 1 2.3: yes',
    'a test in test/standards names no row: something else',
    'the table lacks RFC 1 2.3 of the test: RFC 1 2.3, ASVS 2: more',
    'the table lacks ASVS 2 of the test: RFC 1 2.3, ASVS 2: more'
  ])
  t.strictSame(titlesOf("t.test('it\\'s', async t => {})\nawait t.test(\"a 'b'\", x)\ntest(`c`, y)"), ["it's", "a 'b'"])
})
