import { access, readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { parse } from 'yaml'

// The pages about the project name what is there. Their links and commands are checked by docs.test.ts.

const root = join(import.meta.dirname, '..', '..')
const read = async (path: string): Promise<string> => await readFile(join(root, path), 'utf8')

const DECISIONS = join('docs', 'decisions')
const records = (await readdir(join(root, DECISIONS))).filter(name => /^\d/.test(name)).sort()
const contributing = await read('CONTRIBUTING.md')

t.test('the pages name files and folders that are there', async t => {
  const top = new Set(await readdir(root))
  for (const page of ['CONTRIBUTING.md', 'SECURITY.md', ...records.map(name => join(DECISIONS, name))]) {
    const paths = [...(await read(page)).matchAll(/`((?:[\w.-]+\/)+[\w.-]*)`|\b(dist\/[\w./-]+)\.js\b/g)]
      .map(([, path, compiled]) => path ?? `${compiled?.replace('dist/', '')}.ts`)
      .filter(path => top.has(path.split('/')[0] ?? ''))
    for (const path of paths) await t.resolves(access(join(root, path)), `${page}: ${path}`)
  }
})

t.test('CONTRIBUTING.md is short, and its map has each folder of lib/', async t => {
  t.ok(contributing.split('\n').length <= 131, 'at most 130 lines')
  const [, map = ''] = /^lib\/\n((?: {2}.+\n)+)/m.exec(contributing) ?? []
  const folders = (await readdir(join(root, 'lib'), { withFileTypes: true })).filter(entry => entry.isDirectory())
  const named = [...map.matchAll(/^ {2}([\w-]+)\//gm)].map(([, name]) => name)
  t.strictSame(named.sort(), folders.map(({ name }) => name).sort())
})

t.test('each decision has its number, its headings and a row in the index, and is one page', async t => {
  const index = await read(join(DECISIONS, 'README.md'))
  t.ok(records.length >= 6)
  for (const [position, name] of records.entries()) {
    const text = await read(join(DECISIONS, name))
    t.ok(name.startsWith(String(position + 1).padStart(4, '0')), name)
    t.ok(text.startsWith(`# ${position + 1}. `), name)
    const headings = [...text.matchAll(/^## (.+)$/gm)].map(([, heading]) => heading)
    t.strictSame(headings, ['Context', 'Decision', 'Consequences'], name)
    t.ok(index.includes(`](${name})`), `${name} is in the index`)
    t.ok(text.split('\n').length <= 60, `${name} is one page`)
  }
})

interface Form {
  name: string
  description: string
  body: Array<{ type: string, id?: string, attributes: { label?: string, value?: string, options?: string[] } }>
}

t.test('the forms for issues can be parsed, and each question has a label and an id of its own', async t => {
  const folder = join('.github', 'ISSUE_TEMPLATE')
  for (const file of (await readdir(join(root, folder))).filter(name => name !== 'config.yml')) {
    const { name, description, body } = parse(await read(join(folder, file))) as Form
    t.ok(name !== '' && description !== '', file)
    const questions = body.filter(({ type }) => type !== 'markdown')
    t.equal(new Set(questions.map(({ id }) => id)).size, questions.length, file)
    for (const { type, id, attributes } of questions) {
      t.ok(['input', 'textarea', 'dropdown', 'checkboxes'].includes(type), `${file}: ${type}`)
      t.match(id, /^[a-z]+$/, file)
      t.ok(attributes.label, `${file}: ${id}`)
      if (type === 'dropdown') t.ok((attributes.options?.length ?? 0) > 1, `${file}: ${id}`)
    }
  }
})

t.test('a release notes its changes under "Unreleased" first', async t => {
  const kinds = 'Added|Changed|Deprecated|Removed|Fixed|Security'
  t.match(await read('CHANGELOG.md'), new RegExp(`^# Changelog\\n[^#]+## \\[Unreleased\\]\\n\\n### (${kinds})\\n`))
})
