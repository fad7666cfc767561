import { readdir, readFile } from 'node:fs/promises'
import { dirname, join, posix, relative, sep } from 'node:path'
import { pathToFileURL } from 'node:url'
import t from 'tap'
import ts from 'typescript'

// The direction in CONTRIBUTING.md: schemas <- lib <- plugins <- routes <- app <- server, cli.

/** The sources, not `dist`: types are imports too, and leave no trace in it. */
const root = join(import.meta.dirname, '..', '..')

/** What a folder, or a file of the top, may import of ours. */
const MAY_IMPORT: Record<string, string[]> = {
  schemas: ['schemas'],
  lib: ['schemas', 'lib'],
  plugins: ['schemas', 'lib', 'plugins'],
  routes: ['schemas', 'lib', 'plugins', 'routes'],
  app: ['schemas', 'lib', 'plugins', 'routes', 'app'],
  server: ['schemas', 'lib', 'plugins', 'routes', 'app', 'server'],
  commands: ['schemas', 'lib', 'plugins', 'routes', 'app', 'server', 'commands'],
  cli: ['schemas', 'lib', 'plugins', 'routes', 'app', 'server', 'commands', 'cli'],
  scripts: ['schemas', 'lib', 'plugins', 'routes', 'app', 'server', 'commands', 'cli', 'scripts'],
  bench: ['schemas', 'lib', 'plugins', 'routes', 'app', 'server', 'commands', 'cli', 'verifier', 'bench', 'test'],
  client: ['client'],
  verifier: ['schemas', 'lib', 'plugins', 'verifier'],
  testing: ['schemas', 'lib', 'app', 'testing'],
  examples: ['app', 'testing', 'verifier', 'examples']
}

/**
 * What a folder of lib/ may import of the others, besides `errors.ts` and the schemas. A folder stands below those that
 * it imports.
 */
const DOMAINS: Record<string, string[]> = {
  time: [],
  passwords: [],
  identity: ['time'],
  store: ['time'],
  options: ['identity', 'store'],
  http: ['options', 'identity'],
  ledger: ['store', 'identity', 'time'],
  revocation: ['ledger', 'store', 'identity', 'time'],
  throttle: ['ledger', 'store', 'identity', 'time'],
  keys: ['revocation', 'ledger', 'store', 'identity', 'time'],
  'status-lists': ['keys', 'revocation', 'store', 'identity', 'time'],
  tokens: ['status-lists', 'keys', 'revocation', 'identity', 'time'],
  'revocation-feed': ['tokens', 'keys', 'revocation', 'ledger', 'store', 'time'],
  users: ['throttle', 'passwords', 'revocation', 'ledger', 'store', 'identity', 'time'],
  'personal-access-tokens': ['users', 'tokens', 'revocation', 'ledger', 'store', 'identity', 'time'],
  clients: ['users', 'tokens', 'throttle', 'http', 'revocation', 'ledger', 'store', 'identity', 'time'],
  sessions: [
    'clients', 'personal-access-tokens', 'users', 'tokens', 'status-lists', 'throttle', 'revocation', 'ledger', 'store', 'identity', 'time'
  ],
  grants: ['sessions', 'clients', 'tokens']
}

/** Lists the engines, so it imports each of them. */
const ENGINES = 'lib/store/engines.ts'

/** Describes the public services, so it names them all. */
const SUMMARY = 'lib/latchkey.ts'

/** Types alone, which leave nothing in the client that a browser loads. */
const SHARED_TYPES = 'schemas/scopes.ts'

/** Lists the plugins of the routes. */
const ROUTE_LIST = 'routes/index.ts'

/** Folders whose rules know nothing of the framework. */
const PURE = ['schemas', 'lib']

const isFramework = (
  name: string
): boolean => name === 'fastify' || name === 'fastify-plugin' || name.startsWith('@fastify/')

/** The folder of lib/ that a file is in; undefined for a file beside them, and for one elsewhere. */
const domainOf = (file: string): string | undefined => /^lib\/([\w-]+)\//.exec(file)?.[1]

/** What is wrong with an import between folders of lib/. */
function domainViolation (file: string, target: string): string | undefined {
  const [from, to] = [domainOf(file), domainOf(target)]
  if (!file.startsWith('lib/') || to === undefined || from === to || file === SUMMARY) return undefined
  if (from === undefined) return `${file} imports ${target}: a file beside the folders of lib/ needs none of them`
  const allowed = DOMAINS[from]
  if (allowed === undefined) return `lib/${from} is a folder that test/architecture.test.ts does not know: give it its place in DOMAINS`
  return allowed.includes(
    to
  )
    ? undefined
    : `${file} imports ${target}: lib/${from} may import only ${allowed.join(', ')}`
}

/** What is wrong with an import of an engine. Code that needs one asks `engineOf`. */
function engineViolation (file: string, target: string): string | undefined {
  const folder = /^lib\/store\/(?!copy\/)[\w-]+\//.exec(target)?.[0]
  if (folder === undefined || file.startsWith(folder) || file === ENGINES || layerOf(file) === 'bench') return undefined
  return `${file} imports ${target}: only ${ENGINES} may import an engine`
}

/** The first folder of a path, or the name of a file of the top. */
const layerOf = (file: string): string => (file.split('/')[0] ?? '').replace(/\.ts$/, '')

/** The layer of an entry of our own package; undefined for a foreign one. */
function layerOfEntry (name: string): string | undefined {
  const entry = /^fastify-latchkey(?:\/(\w+)(?:\/\w+)?)?$/.exec(name)
  return entry === null ? undefined : entry[1] ?? 'app'
}

/** What is wrong with a source file, a sentence each. */
function violationsOf (file: string, text: string): string[] {
  const layer = layerOf(file)
  if (layer === 'test') return []
  const allowed = MAY_IMPORT[layer]
  if (allowed === undefined) {
    return [
    `${file} is in no layer that test/architecture.test.ts knows: give '${layer}' its place in MAY_IMPORT`
    ]
  }

  const found: string[] = []
  for (const { fileName: name } of ts.preProcessFile(text, true, true).importedFiles) {
    const target = name.startsWith('.')
      ? posix.normalize(posix.join(
        posix.dirname(file), name
      )).replace(/\.js$/, '.ts')
      : undefined
    const targetLayer = target !== undefined ? layerOf(target) : layerOfEntry(name)
    if (targetLayer !== undefined && !allowed.includes(
      targetLayer
    ) && !(layer === 'client' && target === SHARED_TYPES)) {
      found.push(`${file} imports '${name}': ${layer} may import only ${allowed.join(', ')}`)
    }
    const violation = target === undefined ? undefined : domainViolation(file, target)
    if (violation !== undefined) found.push(violation)
    if (PURE.includes(layer) && isFramework(name)) found.push(`${file} imports '${name}': ${layer} knows no framework`)
    // Who verifies without Fastify must not need it.
    if (layer === 'verifier' && file !== 'verifier/plugin.ts' && (isFramework(
      name
    ) || targetLayer === 'plugins')) {
      found.push(
      `${file} imports '${name}': only verifier/plugin.ts knows the framework`
      )
    }
    if (layer === 'lib' && /^(node:)?process$/.test(name)) {
      found.push(
      `${file} imports '${name}': lib does not touch the environment`
      )
    }
    const engine = target === undefined ? undefined : engineViolation(file, target)
    if (engine !== undefined) found.push(engine)
    if (name === 'better-sqlite3' && file !== 'lib/store/sqlite/open.ts' && layer !== 'examples') {
      found.push(
      `${file} imports '${name}': only lib/store/sqlite/open.ts may`
      )
    }
  }
  if (layer === 'lib' && readsEnvironment(ts.createSourceFile(file, text, ts.ScriptTarget.Latest, true))) {
    found.push(`${file} reads process.env: lib does not touch the environment`)
  }
  return found
}

function readsEnvironment (node: ts.Node): boolean {
  const isProcess = (expression: ts.Node | undefined): boolean =>
    expression !== undefined && /^(globalThis\.)?process$/.test(expression.getText())
  if (ts.isPropertyAccessExpression(node) && isProcess(node.expression) && node.name.text === 'env') return true
  if (ts.isElementAccessExpression(node) && isProcess(node.expression)) return true
  if (ts.isVariableDeclaration(node) && isProcess(node.initializer)) return true
  return ts.forEachChild(node, child => readsEnvironment(child) || undefined) ?? false
}

async function listSources (folder: string): Promise<string[]> {
  const entries = await readdir(join(root, folder), { recursive: true, withFileTypes: true })
  return entries
    .filter(entry => entry.isFile() && /\.c?ts$/.test(entry.name) && !entry.name.endsWith('.d.ts'))
    .map(entry => relative(root, join(entry.parentPath, entry.name)).split(sep).join('/'))
    .filter(path => !path.includes('node_modules'))
}

t.test('each source file imports only what its layer may', async t => {
  const top = await readdir(root, { withFileTypes: true })
  const folders = top.filter(
    entry => entry.isDirectory() && !entry.name.startsWith('.') && ![
      'dist', 'node_modules', 'test'
    ].includes(entry.name)
  )
  const sources = [
    ...top.filter(entry => entry.isFile() && entry.name.endsWith('.ts')).map(entry => entry.name),
    ...(await Promise.all(folders.map(({ name }) => listSources(name)))).flat()
  ]
  t.ok(sources.includes('app.ts') && sources.includes('lib/store/sqlite/open.ts'), 'the sources are found')
  for (const file of sources) {
    const violations = violationsOf(file, await readFile(join(root, file), 'utf8'))
    t.same(violations, [], violations.length === 0 ? file : violations.join('\n'))
  }
})

t.test('the check finds what it is there for', async t => {
  const table: Array<[file: string, text: string, says: RegExp | undefined]> = [
    [
      'lib/store/a.ts', "import { x } from '../users/users.js'",
      /^lib\/store\/a\.ts imports lib\/users\/users\.ts: lib\/store may import only time$/
    ],
    ['lib/other/a.ts', "import { x } from '../store/store.js'", /give it its place in DOMAINS/],
    ['lib/a.ts', "import { x } from './store/store.js'", /a file beside the folders of lib\/ needs none of them/],
    [
      'lib/users/a.ts',
      "import type { x } from '../store/store.js'\nimport { y } from '../errors.js'\nimport { z } from './transfer/file.js'",
      undefined
    ],
    [
      'lib/a.ts', "import { x } from '../plugins/keys.js'",
      /^lib\/a\.ts imports '\.\.\/plugins\/keys\.js': lib may import only schemas, lib$/
    ],
    ['lib/a.ts', "import type { X } from '../plugins/keys.js'", /plugins\/keys/],
    ['lib/a.ts', "const x = await import('../app.js')", /app\.js/],
    ['lib/deep/a.ts', "export { x } from '../../routes/a.js'", /routes/],
    [
      'lib/a.ts', "import type { FastifyInstance } from 'fastify'",
      /^lib\/a\.ts imports 'fastify': lib knows no framework$/
    ],
    ['schemas/a.ts', "import fp from 'fastify-plugin'", /fastify-plugin/],
    ['schemas/a.ts', "import type { X } from '@fastify/type-provider-typebox'", /type-provider/],
    ['schemas/a.ts', "import { x } from '../lib/a.js'", /schemas may import only schemas$/],
    ['plugins/a.ts', "import { x } from '../routes/a/index.js'", /plugins may import only/],
    ['routes/a/index.ts', "import app from '../../app.js'", /routes may import only/],
    ['app.ts', "import { x } from './server.js'", /app may import only/],
    ['app.ts', "import { x } from './commands/serve.js'", /app may import only/],
    ['server.ts', "import { x } from './cli.js'", /server may import only/],
    ['cli.ts', "import { x } from './test/helper.js'", /test\/helper/],
    ['examples/a.ts', "import { x } from '../lib/a.js'", /examples may import only app, testing, verifier, examples$/],
    ['client/a.ts', "import { x } from '../schemas/a.js'", /client may import only client$/],
    ['client/a.ts', "import type { Scope } from '../schemas/scopes.js'", undefined],
    ['lib/store/other.ts', "import Database from 'better-sqlite3'", /only lib\/store\/sqlite\/open\.ts may$/],
    ['examples/a.ts', "import Database from 'better-sqlite3'", undefined],
    ['lib/a.ts', 'const { HOME } = process.env', /process\.env/],
    ['lib/a.ts', "const home = process['env'].HOME", /process\.env/],
    ['lib/a.ts', 'const { env } = process', /process\.env/],
    ['lib/a.ts', "import { env } from 'node:process'", /node:process/],
    ['elsewhere/a.ts', '', /MAY_IMPORT/],
    ['lib/a.ts', "import { x } from '../schemas/a.js'\n// process.env\nconst y = process.pid", undefined],
    ['lib/store/sqlite/open.ts', "import Database from 'better-sqlite3'", undefined],
    [
      'commands/a.ts', "import { x } from '../lib/store/postgres/url.js'",
      /only lib\/store\/engines\.ts may import an engine$/
    ],
    ['lib/store/copy/a.ts', "import { x } from '../sqlite/errors.js'", /may import an engine$/],
    ['lib/store/engines.ts', "import { x } from './sqlite/engine.js'", undefined],
    ['routes/a/index.ts', "import { x } from '../../plugins/a.js'\nimport { fastify } from 'fastify'", undefined],
    ['examples/a.ts', "import latchkey from 'fastify-latchkey'", undefined],
    ['examples/a.ts', "import { withTestKit } from 'fastify-latchkey/testing'", undefined],
    ['app.ts', "import { withTestKit } from 'fastify-latchkey/testing'", /app may import only/],
    [
      'verifier/a.ts', "import type { FastifyInstance } from 'fastify'",
      /^verifier\/a\.ts imports 'fastify': only verifier\/plugin\.ts knows the framework$/
    ],
    ['verifier/a.ts', "import { x } from '../plugins/guards/guards.js'", /only verifier\/plugin\.ts knows/],
    ['verifier/plugin.ts', "import fp from 'fastify-plugin'\nimport { x } from '../plugins/guards/guards.js'", undefined],
    ['verifier/plugin.ts', "import app from '../app.js'", /verifier may import only schemas, lib, plugins, verifier$/],
    ['testing/a.ts', "import { x } from '../plugins/a.js'", /testing may import only schemas, lib, app, testing$/],
    ['cli.ts', "import { x } from './commands/serve.js'", undefined]
  ]
  for (const [file, text, says] of table) {
    const [first, ...others] = violationsOf(file, text)
    t.same(others, [], text)
    if (says === undefined) t.equal(first, undefined, text)
    else t.match(first, says, text)
  }
})

t.test('no file imports itself, by whatever way round', async t => {
  const sources = (await Promise.all(
    Object.keys(MAY_IMPORT).filter(layer => !['app', 'server', 'cli'].includes(layer)).map(listSources)
  )).flat()
  const imports = new Map<string, string[]>()
  for (const file of [...sources, 'app.ts', 'server.ts', 'cli.ts']) {
    const { importedFiles } = ts.preProcessFile(await readFile(join(root, file), 'utf8'), true, true)
    imports.set(file, importedFiles.filter(({ fileName }) => fileName.startsWith('.'))
      .map(({ fileName }) => posix.normalize(posix.join(posix.dirname(file), fileName)).replace(/\.js$/, '.ts')))
  }
  const done = new Set<string>()
  function findCycle (file: string, path: readonly string[]): readonly string[] | undefined {
    if (path.includes(file)) return [...path.slice(path.indexOf(file)), file]
    if (done.has(file)) return undefined
    const cycle = imports.get(file)?.map(next => findCycle(next, [...path, file])).find(found => found !== undefined)
    done.add(file)
    return cycle
  }
  for (const file of imports.keys()) t.same(findCycle(file, []), undefined, file)
  t.ok(imports.size > 150, `${imports.size} files`)
})

t.test('each folder of lib/ has its place, and is imported by none that it imports', async t => {
  const folders = (await readdir(
    join(root, 'lib'), { withFileTypes: true }
  )).filter(entry => entry.isDirectory()).map(({ name }) => name)
  t.strictSame(Object.keys(DOMAINS).sort(), folders.sort())
  for (const [folder, allowed] of Object.entries(DOMAINS)) {
    for (const other of allowed) t.notOk(DOMAINS[other]?.includes(folder), `${folder} and ${other}`)
  }
})

/** Returns the files that a compiled file loads, and the packages that they import. */
async function closureOf (entry: string): Promise<{ loaded: Set<string>, foreign: string[] }> {
  const loaded = new Set<string>()
  const foreign = new Set<string>()
  async function load (file: string): Promise<void> {
    if (loaded.has(file)) return
    loaded.add(file)
    const { importedFiles } = ts.preProcessFile(await readFile(file, 'utf8'), true, true)
    for (const { fileName: name } of importedFiles) {
      if (name.startsWith('.')) await load(join(dirname(file), name))
      else if (!name.startsWith('node:')) foreign.add(name)
    }
  }
  await load(join(root, 'dist', entry))
  return { loaded, foreign: [...foreign].sort() }
}

t.test('the verifier needs no framework and no database: nothing that it loads loads one', async t => {
  const { loaded, foreign } = await closureOf('verifier/index.js')
  t.ok(loaded.has(join(root, 'dist', 'lib', 'tokens', 'verification.js')), 'its own files are followed')
  const needed = ['@lukeed/ms', 'ajv', 'eventsource-parser', 'fast-jwt', 'typebox', 'uuid']
  t.strictSame(foreign, needed)

  const plugin = await closureOf('verifier/plugin.js')
  t.strictSame(plugin.foreign, [...needed, '@fastify/cookie', 'fastify', 'fastify-plugin', 'ipaddr.js', 'vary'].sort(), 'its plugin')
})

t.test('every folder of routes is there, and every file in it is a plugin that routes/index.ts lists', async t => {
  const files = (await listSources('routes')).filter(file => file !== ROUTE_LIST)
  const folders = (await readdir(join(root, 'routes'), { recursive: true, withFileTypes: true }))
    .filter(entry => entry.isDirectory()).map(
      entry => relative(root, join(entry.parentPath, entry.name)).split(sep).join('/')
    )
  t.ok(folders.length > 0)
  for (const folder of folders) {
    t.ok(files.some(file => file.startsWith(`${folder}/`)), `${folder} holds a route`)
  }
  const list = await readFile(join(root, ROUTE_LIST), 'utf8')
  for (const file of files) {
    t.not(dirname(file), 'routes', `${file} is in a folder of its resource`)
    t.ok(list.includes(`'./${relative('routes', file).replace(/\.ts$/, '.js')}'`), `${ROUTE_LIST} imports ${file}`)
    const { default: plugin, ...others } = await import(
      pathToFileURL(join(root, 'dist', file.replace(/\.ts$/, '.js'))).href
    )
    t.type(plugin, 'function', `${file} has a plugin as its default export`)
    t.notOk(plugin[Symbol.for('skip-override')], `${file} is encapsulated: no fp()`)
    t.not(plugin.name, '', `${file} names its plugin`)
    t.strictSame(Object.keys(others), [], `${file} exports nothing else: what others need lives elsewhere`)
  }
})
