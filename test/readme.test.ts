import { access, readdir, readFile } from 'node:fs/promises'
import { join, sep } from 'node:path'
import t from 'tap'
import { renderPages } from '../scripts/tables.js'

t.test('the generated tables of docs/reference are current: run `npm run docs`', async t => {
  const pages = await renderPages(path => readFile(path, 'utf8'))
  for (const [path, text] of Object.entries(pages)) t.equal(await readFile(path, 'utf8'), text, path)
  t.ok(Object.keys(pages).length >= 9, 'the pages are found')
})

t.test('docs/README.md links every page of docs', async t => {
  const contents = await readFile('docs/README.md', 'utf8')
  const pages = (await readdir('docs', { recursive: true })).filter(
    file => file.endsWith('.md') && file !== 'README.md'
  )
  for (const page of pages.filter(page => !page.startsWith(`decisions${sep}`))) {
    t.ok(
      contents.includes(`](${page.replaceAll(sep, '/')})`), page
    )
  }
})

t.test('the README has the two commands first', async t => {
  const readme = await readFile('README.md', 'utf8')
  const firstBlock = /```sh\n([\s\S]*?)```/.exec(readme)?.[1] ?? ''
  t.match(firstBlock, /^npm install && npm start\b/m)
  t.match(firstBlock, /^npm install && npm test\b/m)
  t.ok(readme.split('\n').length <= 151, 'it has at most 150 lines')
})

t.test('each example says on top what it shows, is in examples/README.md with its one command, and has a test', async t => {
  const readme = await readFile('examples/README.md', 'utf8')
  const files = (await readdir('examples', { recursive: true })).filter(file => /(?<!\.test)\.ts$/.test(file))
  t.ok(files.includes('plugin.ts') && files.includes(join('resource-server', 'demo.ts')), 'the examples are found')
  for (const file of files) {
    const [, does = '', command = ''] = /^((?:\/\/ .+\n){1,3})\/\/\n\/\/ {3}(.+)\n/.exec(
      await readFile(join('examples', file), 'utf8')
    ) ?? []
    t.not(does, '', `${file} begins with what it does`)
    const program = /node (dist\/examples\/\S+)\.js$/.exec(command)?.[1] ?? ''
    t.resolves(access(`${program.replace(/^dist\//, '')}.ts`), `${file} says how it is run: ${command}`)
    t.ok(readme.includes(`](${file})`) && readme.includes(`\`node ${program}.js\``), `${file} is in the table`)
    const test = file.split(/[/.]/)[0] ?? ''
    t.resolves(
      Promise.any([
        `test/examples/${test}.test.ts`, `test/foreign/${test}/example.test.ts`, `test/foreign/browser/${test}.test.ts`
      ].map(path => access(path))),
      `${file} has a test`
    )
  }
})
