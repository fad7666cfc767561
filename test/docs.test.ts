import { execFile } from 'node:child_process'
import { access, mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import t from 'tap'
import ts from 'typescript'
import { parse, parseDocument } from 'yaml'
import { EVENT_TYPES } from '../schemas/events.js'
import { SMALL_PACKAGES } from '../scripts/packages.js'
import { run } from './commands/support.js'
import { build, PASSWORD } from './helper.js'

// Every block of code in README.md, docs/ and the pages about the project is compiled, run or parsed here, and every
// link is followed.

const root = join(import.meta.dirname, '..', '..')
const execute = promisify(execFile)

/**
 * What a TypeScript block may take for granted: `<!-- with: app, userId -->` before it. `<!-- alone, with: app -->`
 * compiles it by itself, for what it declares would hold in all the others. A line that ends with `// error TS1234`
 * must not compile.
 */
const GIVEN: Record<string, string> = {
  app: "declare const app: import('fastify').FastifyInstance;",
  jwt: "import '@fastify/cookie'; import '@fastify/jwt';",
  session: "import '@fastify/session'; declare module 'fastify' { interface Session { userId?: string } }",
  userId: 'declare const userId: string;',
  sessionId: 'declare const sessionId: string;',
  secret: 'declare const secret: string;',
  password: 'declare const password: string;',
  check: "declare const check: import('fastify-latchkey').UserDirectory['authenticate'];",
  accounts:
    "declare const accounts: { check: import('fastify-latchkey').UserDirectory['authenticate'], byId: import('fastify-latchkey').UserDirectory['find'] };",
  codes:
    'declare const codes: { isOn (userId: string): Promise<boolean>, check (userId: string, code: string): Promise<boolean> };',
  google: "declare const google: { finish (request: import('fastify').FastifyRequest): Promise<string> };",
  profiles: 'declare const profiles: { change (userId: string, changes: unknown): Promise<void> };',
  client: "declare const client: import('fastify-latchkey/client').Client;",
  axios: 'declare const axios: { create (config: object): { interceptors: { request: { use (add: (config: { headers: ' +
    '{ set (name: string, value: string): void } }) => Promise<object>): void } } } };',
  EventSource: 'declare const EventSource: new (url: string, options: { fetch: typeof fetch }) => object;',
  tenantOf: 'declare const tenantOf: (userId: string) => string;'
}

/** Languages that nothing here can read. */
const UNCHECKED: Record<string, string> = {
  nginx: 'test/foreign/proxies.test.ts runs the blocks that it names',
  caddy: 'the same',
  haproxy: 'the same',
  js: 'test/foreign/verify-elsewhere.test.ts runs them',
  ini: 'a file for systemd, or an environment: needs systemd itself',
  http: 'a part of an answer; test/standards/http.test.ts proves what it shows',
  mermaid: 'its parser needs a browser',
  text: 'a map of folders, or what goes over a connection; test/project.test.ts and test/routes/revocations.test.ts prove them'
}

interface Block { file: string, line: number, language: string, code: string, mark: string }

const inDocs = (await readdir(join(root, 'docs'), { recursive: true })).filter(name => name.endsWith('.md'))
const pages = [
  'README.md', 'CONTRIBUTING.md', 'SECURITY.md', 'CHANGELOG.md', 'client/README.md', 'verifier/README.md',
  ...inDocs.map(name => join('docs', name))
]
const texts = new Map(await Promise.all(pages.map(async file => [file, await readFile(join(root, file), 'utf8')] as const)))
const blocks = [...texts].flatMap(([file, text]) => readBlocks(file, text))
const of = (language: string): Block[] => blocks.filter(block => block.language === language)
const name = ({ file, line }: Block): string => `${file}:${line}`

function readBlocks (file: string, text: string): Block[] {
  return [...text.matchAll(/^( *)```(\w*)\n([\s\S]*?)^\1```$/gm)].map(({ index, 1: indent = '', 2: language = '', 3: code = '' }) => {
    const before = text.slice(0, index)
    const [, mark = ''] = /<!-- (.+) -->\n$/.exec(before) ?? []
    return { file, line: before.split('\n').length + 1, language, mark, code: code.replaceAll(new RegExp(`^${indent}`, 'gm'), '') }
  })
}

t.test('each block is in a language that is checked, or says why not', async t => {
  t.ok(blocks.length > 50, `${blocks.length} blocks`)
  const checked = ['ts', 'sh', 'json', 'yaml', 'python']
  for (const block of blocks) t.ok(checked.includes(block.language) || block.language in UNCHECKED, `${name(block)}: ${block.language}`)
  for (const [language, reason] of Object.entries(UNCHECKED)) t.comment(`${of(language).length} blocks of ${language} are not checked: ${reason}`)
})

t.test('TypeScript compiles', async t => {
  const isAlone = ({ mark }: Block): boolean => mark.startsWith('alone')
  const compile = createCompiler()
  const groups = [of('ts').filter(block => !isAlone(block)), ...of('ts').filter(isAlone).map(block => [block])]
  for (const group of groups) t.strictSame(compile(group), group.flatMap(expectedErrors))
})

function expectedErrors (block: Block): string[] {
  return [...block.code.matchAll(/\/\/ error (TS\d+)$/gm)].map(([, code]) => `${block.file} ${code}`)
}

/** Where the small packages would be, if they were installed. */
const SMALL_PATHS = Object.fromEntries(Object.entries(SMALL_PACKAGES).flatMap(([name, { entries }]) =>
  Object.entries(entries).map(([entry, file]) => [join(name, entry), [join(root, 'dist', `${file}.d.ts`)]])))

/**
 * Compiles blocks together, as files at the root of the package, where its own name leads to its types; returns what is
 * wrong.
 */
function createCompiler (): (blocks: readonly Block[]) => string[] {
  const options: ts.CompilerOptions = { strict: true, noEmit: true, skipLibCheck: true, target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.NodeNext, types: ['node'], paths: SMALL_PATHS }
  const host = ts.createCompilerHost(options)
  const read = new Map<string, ts.SourceFile | undefined>()
  return blocks => {
    const files = new Map(blocks.map(block => [join(root, `${block.file.replaceAll('/', '-')}-${block.line}.ts`), block]))
    function sourceOf (file: string): string | undefined {
      const block = files.get(file)
      if (block === undefined) return undefined
      const [, names] = /with: (.+)$/.exec(block.mark) ?? []
      const given = names?.split(', ').map(name => GIVEN[name] ?? `declare const unknown_${name}: no_such_thing;`) ?? []
      return `${given.join(' ')} export {};\n${block.code}`
    }
    const program = ts.createProgram([...files.keys()], options, {
      ...host,
      fileExists: file => files.has(file) || host.fileExists(file),
      readFile: file => sourceOf(file) ?? host.readFile(file),
      getSourceFile (file, languageVersion) {
        const source = sourceOf(file)
        if (source !== undefined) return ts.createSourceFile(file, source, languageVersion)
        if (!read.has(file)) read.set(file, host.getSourceFile(file, languageVersion))
        return read.get(file)
      }
    })
    return ts.getPreEmitDiagnostics(program).map(({ file, start, code, messageText }) => {
      const block = files.get(file?.fileName ?? '')
      if (file === undefined || block === undefined) return ts.flattenDiagnosticMessageText(messageText, ' ')
      const row = file.getLineAndCharacterOfPosition(start ?? 0).line
      const expected = block.code.split('\n')[row - 1]?.endsWith(`// error TS${code}`) === true
      return expected ? `${block.file} TS${code}` : `${block.file}:${block.line + row - 1}: ${ts.flattenDiagnosticMessageText(messageText, ' ')}`
    })
  }
}

t.test('JSON and YAML can be parsed', async t => {
  for (const block of of('json')) t.doesNotThrow(() => JSON.parse(block.code), name(block))
  for (const block of of('yaml')) t.strictSame(parseDocument(block.code).errors, [], name(block))
})

t.test('Python can be compiled', async t => {
  const program = 'import json, os\nfor name, code in json.loads(os.environ["BLOCKS"]): compile(code, name, "exec")'
  try {
    await execute('python3', ['-c', program], { env: { PATH: process.env.PATH, BLOCKS: JSON.stringify(of('python').map(block => [name(block), block.code])) } })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    t.comment('there is no python3 here: the blocks of Python are not checked')
  }
})

/** The lines of a script, without comments. */
function linesOf ({ code }: Block): string[] {
  return code.split('\n').map(line => line.replace(/(^|\s)#.*$/, '').trim()).filter(line => line !== '')
}

const COMMAND = /(?:^|[\s`])(?:npm run --silent latchkey -- |latchkey )([^|`&;)]+)/

/** Every use of the command line: in scripts, and in the middle of a sentence. */
const uses = [...texts.values()].flatMap(text => [...text.matchAll(/`(latchkey [^`\n]+)`/g)].map(([, use = '']) => use))
  .concat(of('sh').flatMap(linesOf))
  .flatMap(line => COMMAND.exec(line)?.[1] ?? [])
  .map(words => words.trim().split(/\s+/))

t.test('what is said of the shell and of npm is there', async t => {
  const { scripts } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8')) as { scripts: Record<string, string> }
  for (const block of of('sh')) {
    await t.resolves(execute('sh', ['-n', '-c', block.code]), name(block))
    for (const line of linesOf(block)) {
      for (const [, script = ''] of line.matchAll(/\bnpm (?:run (?:--silent )?)?([\w:]+)/g)) t.ok(script === 'install' || script in scripts, `${name(block)}: npm ${script}`)
    }
  }
  for (const [, script = ''] of [...texts.values()].flatMap(text => [...text.matchAll(/`npm run ([\w:]+)/g)])) t.ok(script in scripts, `npm run ${script}`)
})

t.test('each verb and option of the command line is there', async t => {
  const folder = await temporary()
  const helps = new Map<string, Promise<string>>()
  const helpOf = async (path: string[]): Promise<string> => {
    const key = path.join(' ')
    if (!helps.has(key)) helps.set(key, run(folder, [...path, '--help']).then(({ stdout }) => stdout))
    return await helps.get(key) ?? ''
  }
  t.ok(uses.length > 20, `${uses.length} uses`)
  for (const words of uses) {
    const [first = '', second = ''] = words
    const group = await helpOf(first.startsWith('-') ? [] : [first])
    const verbs = / \[command\]$/m.test(group) && group !== await helpOf([]) ? [first, second] : [first].filter(word => !word.startsWith('-'))
    const help = await helpOf(verbs)
    t.ok(help.startsWith(['Usage: latchkey', ...verbs].join(' ')) && (help !== group || verbs.length < 2), `latchkey ${words.join(' ')}`)
    for (const option of words.filter(word => word.startsWith('--'))) t.match(help, new RegExp(`${option}[ ,\\n]`), `latchkey ${words.join(' ')}`)
  }
})

t.test('blocks with the mark `run` run, those of a page one after the other', async t => {
  for (const file of pages) {
    const folder = await temporary()
    await run(folder, ['migrate'])
    for (const line of of('sh').filter(block => block.file === file && block.mark === 'run').flatMap(linesOf)) {
      const words = COMMAND.exec(line)?.[1]?.trim().split(/\s+/) ?? []
      const { code, stderr } = await run(folder, words, { input: `${PASSWORD}\n` })
      t.equal(code, 0, `${file}: ${line} ${stderr}`)
    }
  }
})

async function temporary (): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'latchkey-docs-'))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  return folder
}

t.test('links lead to files and headings that are there', async t => {
  const slugs = (text: string): string[] => [...text.replaceAll(/^( *)```[\s\S]*?^\1```$/gm, '').matchAll(/^#+ (.+)$/gm)]
    .map(([, heading = '']) => heading.toLowerCase().replaceAll(/[^\p{L}\p{N}\s_-]/gu, '').replaceAll(' ', '-'))
  for (const [file, text] of texts) {
    for (const [, target = ''] of text.replaceAll(/^( *)```[\s\S]*?^\1```$/gm, '').matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^https?:/.test(target)) continue
      const [path = '', anchor] = target.split('#')
      const page = path === '' ? file : join(dirname(file), path)
      await t.resolves(access(join(root, page)), `${file}: ${target}`)
      if (anchor !== undefined) t.ok(slugs(texts.get(page) ?? '').includes(anchor), `${file}: ${target}`)
    }
  }
})

t.test('the alerts ask for metrics, labels and events that there are', async t => {
  const { app } = await build(t, { metrics: true })
  const { users, sessions, tokens } = app.latchkey
  const token = await tokens.sign(await sessions.start(await users.add({ username: 'scraper', password: 'marble otter sings at noon', scopes: ['metrics:read'] })))
  await app.inject('/metrics') // One answer to be counted.
  const { body } = await app.inject({ url: '/metrics', headers: { authorization: `Bearer ${token}` } })
  const types = new Map([...body.matchAll(/^# TYPE (\w+) (\w+)$/gm)].map(([, name = '', type = '']) => [name, type]))
  const { groups } = parse(await readFile(join(root, 'docs', 'prometheus-alerts.yml'), 'utf8')) as {
    groups: Array<{
      rules: Array<{ alert: string, expr: string, annotations: { summary: string, description?: string } }>
    }>
  }
  const rules = groups.flatMap(({ rules }) => rules)
  t.ok(rules.length >= 8 && rules.every(({ annotations }) => annotations.summary !== ''), `${rules.length} alerts`)
  for (const { alert, expr } of rules) {
    for (const [, metric = '', labels = ''] of expr.matchAll(/\b((?:latchkey|nodejs|process)_\w+)(?:\{(.*?)\})?/g)) {
      const isPart = /_(bucket|count|sum)$/.test(metric) && types.get(metric.replace(/_\w[a-z]+$/, '')) === 'histogram'
      t.ok(isPart || (types.has(metric) && types.get(metric) !== 'histogram'), `${alert}: ${metric}`)
      for (const [, label = '', value = ''] of labels.matchAll(/\b(\w+)=~?"([^"]*)"/g)) {
        if (label === 'type') for (const type of value.split('|')) t.ok((EVENT_TYPES as string[]).includes(type), `${alert}: the event ${type}`)
        else t.ok(label === 'job' || new RegExp(`^${metric}\\{.*\\b${label}="`, 'm').test(body), `${alert}: the label ${label}`)
      }
    }
  }
})
