import t from 'tap'
import { assertMatchingBuild, describeMismatch } from '../../../../lib/store/sqlite/version-check.js'

t.test('a better-sqlite3 that would crash this Node.js is refused by name, with the one to install', async t => {
  const table: Array<[sqlite: string, node: string, fix: RegExp | undefined]> = [
    ['12.11.1', '20.20.2', undefined],
    ['13.2.0', '20.20.2', /better-sqlite3@12\.11\.1 instead$/],
    ['12.11.1', '22.23.3', undefined],
    ['13.2.0', '22.23.3', undefined],
    ['12.11.1', '24.18.9', undefined],
    ['12.11.1', '24.19.0', /better-sqlite3@13 instead$/],
    ['12.11.1', '26.0.0', /better-sqlite3@13 instead$/],
    ['13.2.0', '26.10.0', undefined]
  ]
  for (const [sqlite, node, fix] of table) {
    const mismatch = describeMismatch(sqlite, node)
    if (fix === undefined) t.equal(mismatch, undefined, `${sqlite} on ${node}`)
    else t.match(mismatch, fix, `${sqlite} on ${node}`)
  }
})

t.test('the one that is installed here fits', async t => {
  t.doesNotThrow(assertMatchingBuild)
})
