import { readFile } from 'node:fs/promises'
import t from 'tap'
import { renderTables } from '../scripts/tables.js'

t.test('the generated tables of the README are current: run `npm run docs`', async t => {
  const readme = await readFile('README.md', 'utf8')
  t.equal(await renderTables(readme), readme)
})

t.test('the README has the two commands first', async t => {
  const readme = await readFile('README.md', 'utf8')
  const firstBlock = /```sh\n([\s\S]*?)```/.exec(readme)?.[1] ?? ''
  t.match(firstBlock, /^npm install && npm start\b/m)
  t.match(firstBlock, /^npm install && npm test\b/m)
})
