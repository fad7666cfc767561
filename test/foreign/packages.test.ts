import { execFile } from 'node:child_process'
import { cp, mkdir, mkdtemp, readdir, readFile, realpath, rm, symlink, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { gzipSync } from 'node:zlib'
import { build } from 'esbuild'
import t from 'tap'
import type { Test } from 'tap'
import ts from 'typescript'
import { readManifest, SMALL_PACKAGES, writePackages } from '../../scripts/packages.js'
import { PASSWORD } from '../helper.js'
import { FOREIGN, node, root } from './packed.js'
import { serve } from './support.js'

// The small packages, each installed alone in an empty folder.

const run = promisify(execFile)

/** How many packages an install brings, itself among them, and the bytes that the client takes of a page. */
const LIMITS = { client: 3, verifier: 30, plugin: 75, minified: 15_000, gzipped: 6 * 1024 }

t.setTimeout(300_000)

interface Installed { dependencies?: Record<string, string>, scripts?: Record<string, string>, gypfile?: boolean }

const readJson = async <T>(...path: string[]): Promise<T> => JSON.parse(await readFile(join(...path), 'utf8')) as T

// Outside the repository, so that Node.js finds nothing of it in a folder above.
const temporary = await realpath(await mkdtemp(join(tmpdir(), 'latchkey-packages-')))
t.teardown(() => rm(temporary, { recursive: true, force: true }))
await writePackages(join(temporary, 'made'))

/** Packs a package, and unpacks it in a folder of its own beside what `npm install` would add. */
async function install (name: string, others: readonly string[] = []): Promise<{ app: string, unpacked: string }> {
  const app = await mkdtemp(join(temporary, 'app-'))
  const unpacked = join(app, 'node_modules', name)
  await mkdir(unpacked, { recursive: true })
  const { stdout } = await run('npm', ['pack', '--json', '--pack-destination', app], {
    cwd: join(temporary, 'made', name)
  })
  const [{ filename }] = JSON.parse(stdout) as [{ filename: string }]
  await run('tar', ['-xzf', join(app, filename), '--strip-components=1', '-C', unpacked])
  await writeFile(join(app, 'package.json'), '{ "private": true, "type": "module" }')
  const { dependencies = {} } = await readJson<Installed>(unpacked, 'package.json')
  for (const dependency of [...Object.keys(dependencies), ...others]) {
    const place = join(app, 'node_modules', dependency)
    await mkdir(dirname(place), { recursive: true })
    await symlink(join(root, 'node_modules', dependency), place)
  }
  return { app, unpacked }
}

/** Returns the folders of all packages that an install of these packages brings, without optional ones. */
async function treeOf (
  folder: string, others: readonly string[] = [], found = new Set<string>()
): Promise<Set<string>> {
  const real = await realpath(folder)
  if (found.has(real)) return found
  found.add(real)
  const { dependencies = {} } = await readJson<Installed>(real, 'package.json')
  for (const name of [...Object.keys(dependencies), ...others]) {
    const paths = createRequire(join(folder, 'package.json')).resolve.paths(name) ?? []
    const places = await Promise.all(paths.map(path => realpath(join(path, name)).catch(() => undefined)))
    const place = places.find(place => place !== undefined)
    if (place === undefined) throw new Error(`${name}, which ${folder} needs, is not installed`)
    await treeOf(place, [], found)
  }
  return found
}

/** Whether npm would compile a package or run its scripts, or whether it contains a compiled module. */
async function isNative (folder: string): Promise<boolean> {
  const { scripts = {}, gypfile } = await readJson<Installed>(folder, 'package.json')
  const files = await readdir(folder, { recursive: true })
  return gypfile === true || ['preinstall', 'install', 'postinstall'].some(name => name in scripts) ||
    files.some(file => file.endsWith('.node') || file.endsWith('binding.gyp'))
}

/** Compiles a file as a consumer does. Our types are checked too, as by `skipLibCheck: false`. */
function compile (file: string, name: string, options: ts.CompilerOptions): string[] {
  const program = ts.createProgram([file], {
    strict: true,
    target: ts.ScriptTarget.ES2022,
    types: ['node'],
    typeRoots: [join(root, 'node_modules', '@types')],
    outDir: dirname(file),
    ...options
  })
  const ours = program.getSourceFiles().filter(({ fileName }) => fileName === file || fileName.includes(`/${name}/`))
  program.emit(program.getSourceFile(file))
  return [...program.getOptionsDiagnostics(), ...ours.flatMap(source => program.getSemanticDiagnostics(source))]
    .map(diagnostic => ts.formatDiagnostic(diagnostic, {
      getCurrentDirectory: () => dirname(file), getCanonicalFileName: name => name, getNewLine: () => '\n'
    }).trim())
}

/** The ways in which TypeScript looks for types. The last one emits what runs. */
const RESOLUTIONS: Record<string, ts.CompilerOptions> = {
  node10: { module: ts.ModuleKind.ES2022, moduleResolution: ts.ModuleResolutionKind.Node10 },
  bundler: { module: ts.ModuleKind.ESNext, moduleResolution: ts.ModuleResolutionKind.Bundler },
  node16: { module: ts.ModuleKind.Node16, moduleResolution: ts.ModuleResolutionKind.Node16 }
}

/** Compiles a program of consumer/small/ in each way, and runs it. Returns what it prints. */
async function runConsumer (app: string, name: string, { program, args }: {
  program: string, args: string[]
}, t: Test): Promise<unknown> {
  const file = join(app, `${program}.ts`)
  await cp(join(root, 'test', 'foreign', 'consumer', 'small', `${program}.ts`), file)
  for (const [resolution, options] of Object.entries(RESOLUTIONS)) {
    t.strictSame(compile(file, name, options), [], `${name} with ${resolution}`)
  }
  const { code, output } = await node(`${program}.js`, args, app)
  t.equal(code, 0, output)
  return JSON.parse(output)
}

t.test('each package has the version of the full package, what it imports, and nothing else of it', async t => {
  const { version, engines, dependencies, peerDependencies } = await readManifest()
  for (const name of Object.keys(SMALL_PACKAGES)) {
    const { unpacked } = await install(name)
    const manifest = await readJson<Record<string, unknown>>(unpacked, 'package.json')
    t.match(manifest, { name, version, engines, license: 'MIT', type: 'module' })
    const all = { ...dependencies, ...peerDependencies }
    const needed = { ...manifest.dependencies as object, ...manifest.peerDependencies as object }
    for (const [dependency, range] of Object.entries(needed)) t.equal(range, all[dependency], `${name}: ${dependency}`)

    const files = await readdir(unpacked, { recursive: true, withFileTypes: true })
    const paths = files.filter(entry => entry.isFile())
      .map(entry => join(entry.parentPath, entry.name).slice(unpacked.length + 1))
    for (const path of ['LICENSE', 'README.md', 'package.json']) t.ok(paths.includes(path), `${name}: ${path}`)
    t.strictSame(
      paths.filter(path => !/^(LICENSE|README\.md|package\.json|dist\/.+(\.js|\.js\.map|\.d\.ts))$/.test(path)), [], name
    )
    t.strictSame(paths.filter(path => /^dist\/(lib\/store|routes|commands|test)\//.test(path)), [], `${name}: no database`)
    for (const path of paths.filter(path => /\.(js|d\.ts)$/.test(path))) {
      t.notMatch(await readFile(join(unpacked, path), 'utf8'), /fastify-latchkey\/(client|verifier)/, `${name}: ${path}`)
    }
  }
  const plugin = await readFile(join(temporary, 'made', 'fastify-latchkey-verifier', 'dist', 'verifier', 'plugin.js'))
  t.match(String(plugin), "'fastify-latchkey-verifier/plugin'", 'errors name the package that is there')
})

t.test('publint and @arethetypeswrong/cli find nothing', async t => {
  const { publint } = await import('publint')
  for (const name of Object.keys(SMALL_PACKAGES)) {
    const pkgDir = join(temporary, 'made', name)
    t.same((await publint({ pkgDir, pack: false, strict: true })).messages, [], name)
    const tool = join(FOREIGN, '@arethetypeswrong', 'cli', 'dist', 'index.js')
    // ESM from CommonJS works from Node.js 20.19 on, by require() of modules.
    const args = ['--pack', pkgDir, '--no-emoji', '--ignore-rules', 'cjs-resolves-to-esm']
    const { code, output } = await node(tool, args, temporary)
    t.equal(code, 0, code === 0 ? name : output)
  }
})

t.test('the client alone: few packages, none native, and it works', async t => {
  const { app, unpacked } = await install('fastify-latchkey-client')
  const tree = await treeOf(unpacked)
  t.equal(tree.size, LIMITS.client, [...tree].join(' '))
  for (const folder of tree) t.notOk(await isNative(folder), folder)

  const { issuer } = await serve(t)
  const result = await runConsumer(
    app, 'fastify-latchkey-client', { program: 'client', args: [issuer, PASSWORD] }, t
  )
  t.strictSame(result, { refused: 'invalid_grant', username: 'alice', isKept: true, unused: 'function' })

  const { outputFiles: [file] } = await build({
    stdin: { contents: "export { createClient } from 'fastify-latchkey-client'", resolveDir: app },
    bundle: true,
    minify: true,
    format: 'esm',
    platform: 'browser',
    write: false
  })
  const [size, gzipped] = [file?.contents.length ?? 0, gzipSync(file?.contents ?? '').length]
  t.ok(size > 1_000 && size <= LIMITS.minified, `${size} bytes minified`)
  t.ok(gzipped <= LIMITS.gzipped, `${gzipped} bytes gzipped`)
})

t.test('the verifier alone, and with Fastify: no native package, no database, and it works', async t => {
  const name = 'fastify-latchkey-verifier'
  const alone = await install(name)
  const tree = await treeOf(alone.unpacked)
  t.ok(tree.size <= LIMITS.verifier, `${tree.size} packages`)
  const { code, output } = await node('--input-type=module', [
    '-e', `import { createVerifier } from '${name}'; console.log(typeof createVerifier)`
  ], alone.app)
  t.strictSame({ code, output }, { code: 0, output: 'function\n' }, 'without Fastify')

  const { app, unpacked } = await install(name, ['fastify'])
  const all = await treeOf(unpacked, ['fastify'])
  t.ok(all.size <= LIMITS.plugin, `${all.size} packages`)
  for (const folder of all) t.notOk(await isNative(folder), folder)
  const names = [...all].map(folder => folder.slice(folder.lastIndexOf('node_modules/') + 13))
  t.strictSame(names.filter(name => ['better-sqlite3', 'pg', 'kysely', 'bcryptjs'].includes(name)), [])

  const { app: service, issuer } = await serve(t)
  const { client, secret } = await service.latchkey.clients.add({ name: 'items-api', scopes: ['revocations:read'] })
  const alice = await service.latchkey.users.findByName('alice')
  const { json } = await service.inject({
    method: 'POST', url: '/token', payload: { username: 'alice', password: PASSWORD, scope: 'items:read' }
  })
  const { access_token: token } = json<{ access_token: string }>()
  const result = await runConsumer(app, name, { program: 'verifier', args: [issuer, client.id, secret, token] }, t)
  t.strictSame(result, {
    id: alice?.id, refused: 'invalid_token', statuses: [200, 200, 403, 401, 401], revoked: 401
  })
})

t.test('the check for native packages finds one', async t => {
  t.ok(await isNative(join(root, 'node_modules', 'better-sqlite3')))
})
