import { execFile, spawnSync } from 'node:child_process'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import t from 'tap'

// Spin searches the models in docs/models. What it must find is in the tables of docs/models/README.md.

t.setTimeout(600_000)

const execute = promisify(execFile)
const folder = join(import.meta.dirname, '..', '..', '..', 'docs', 'models')
const readme = await readFile(join(folder, 'README.md'), 'utf8')
const names = (await readdir(folder)).filter(name => name.endsWith('.pml'))
const models = new Map(await Promise.all(
  names.map(async name => [name, await readFile(join(folder, name), 'utf8')] as const)
))

interface Search {
  model: string
  /** Names of macros. */
  options: string[]
  /** The property that is violated, or `nothing`. */
  finds: string
}

const searches: Search[] = [...readme.matchAll(/^\| `(\w+\.pml)` \|((?: `[A-Z_]+`)*) \| ([^|]+) \|/gm)]
  .map(([, model = '', options = '', finds = '']) => ({ model, options: options.match(/[A-Z_]+/g) ?? [], finds }))

/** The name of what the assertion below must keep. It ends at a comma, a full stop, or the end of the comment. */
const PROPERTY = /PROPERTY: ([^.,]+?)(?=[.,]| \*\/)/g

const missing = ['spin', 'gcc'].filter(command => spawnSync(command, ['--version']).error !== undefined)
const skip = missing.length > 0 && process.env.LATCHKEY_TEST_SPIN !== 'required' &&
  `${missing.join(' and ')} not installed`

t.test('the tables have a row for each model and for each planted fault', async t => {
  const planted = [...models].flatMap(([model, text]) =>
    [...new Set(text.match(/\bFAULT_\w+/g) ?? [])].map(fault => `${model} ${fault}`))
  const rows = searches.flatMap(({ model, options }) =>
    options.filter(option => option.startsWith('FAULT_')).map(fault => `${model} ${fault}`))
  t.ok(planted.length >= 15, `${planted.length} faults`)
  t.strictSame([...new Set(rows)].sort(), planted.sort())
  const sound = searches.filter(({ finds }) => finds === 'nothing').map(({ model }) => model)
  t.strictSame([...new Set(sound)].sort(), names.sort())
})

t.test('the list explains each property of the models', async t => {
  const stated = [...models.values()].flatMap(text => [...text.matchAll(PROPERTY)].map(([, name = '']) => name))
  const explained = [...readme.matchAll(/^- \*(.+)\*[:,]/gm)].map(([, name = '']) => name)
  t.strictSame([...new Set(stated)].sort(), explained.sort())
})

t.test('Spin finds the results in the tables', { skip, jobs: 2 }, async t => {
  for (const { model, options, finds } of searches) {
    t.test([model, ...options].join(' '), async t => {
      t.equal(await search(t.testdir({}), { model, options }), finds)
    })
  }
})

/** Searches a model. Returns the name of the property that it violates, or `nothing` if the search was complete. */
async function search (cwd: string, { model, options }: Omit<Search, 'finds'>): Promise<string> {
  const macros = options.map(option => `-D${option}`)
  const path = join(folder, model)
  await execute('spin', ['-a', ...macros, path], { cwd })
  await execute('gcc', ['-O1', '-w', '-DSAFETY', '-o', 'pan', 'pan.c'], { cwd })
  const { stdout } = await execute('./pan', ['-m100000', '-w22'], { cwd })
  const isComplete = !/Search not completed|max search depth too small|out of memory/.test(stdout)
  if (isComplete && stdout.includes('errors: 0')) return 'nothing'
  if (!stdout.includes('assertion violated')) return stdout

  const replayed = spawnSync('spin', ['-k', `${model}.trail`, ...macros, path], { cwd, encoding: 'utf8' })
  const line = Number(/\.pml:(\d+), Error: assertion violated/.exec(replayed.stdout)?.[1])
  const text = models.get(model)?.split('\n').slice(0, line).join('\n') ?? ''
  return [...text.matchAll(PROPERTY)].at(-1)?.[1] ?? stdout
}
