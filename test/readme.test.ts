import { access, readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
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

t.test('each example says on top what it shows, is in examples/README.md with its one command, and has a test', async t => {
  const readme = await readFile('examples/README.md', 'utf8')
  const files = (await readdir('examples', { recursive: true })).filter(file => /(?<!\.test)\.ts$/.test(file))
  t.ok(files.includes('plugin.ts') && files.includes(join('resource-server', 'demo.ts')), 'the examples are found')
  for (const file of files) {
    const [, does = '', command = ''] = /^((?:\/\/ .+\n){1,3})\/\/\n\/\/ {3}(.+)\n/.exec(await readFile(join('examples', file), 'utf8')) ?? []
    t.not(does, '', `${file} begins with what it does`)
    const program = /node (dist\/examples\/\S+)\.js$/.exec(command)?.[1] ?? ''
    t.resolves(access(`${program.replace(/^dist\//, '')}.ts`), `${file} says how it is run: ${command}`)
    t.ok(readme.includes(`](${file})`) && readme.includes(`\`node ${program}.js\``), `${file} is in the table`)
    const test = file.split(/[/.]/)[0] ?? ''
    t.resolves(Promise.any([access(`test/examples/${test}.test.ts`), access(`test/${test}/example.test.ts`)]), `${file} has a test`)
  }
})
