import { access, cp, readFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import t from 'tap'
import ts from 'typescript'
import { createConsumer, FOREIGN, manifest, node, root } from './packed.js'

// Compilers on a busy machine take their time, also where no .taprc says so.
t.setTimeout(300_000)

const { consumer, unpacked, tarball, paths, temporary, link } = await createConsumer(t)
await cp(join(root, 'test', 'foreign', 'consumer'), consumer, { recursive: true })

/** The last one of each kind: the next one need not parse its files again. */
const programs = new Map<boolean, ts.Program>()

/**
 * Compiles a file of the consumer as a strict consumer does, and emits it. Our types and those of Fastify and
 * @fastify/jwt, which we augment, are checked too, as by `skipLibCheck: false`; to check those of all the others takes
 * ten seconds.
 */
function compile (file: string, { bundler = false } = {}): string[] {
  const before = programs.get(bundler)
  const program = ts.createProgram([join(consumer, file)], {
    strict: true,
    target: ts.ScriptTarget.ES2022,
    module: bundler ? ts.ModuleKind.ESNext : ts.ModuleKind.NodeNext,
    moduleResolution: bundler ? ts.ModuleResolutionKind.Bundler : ts.ModuleResolutionKind.NodeNext,
    types: ['node'],
    typeRoots: [join(consumer, 'node_modules', '@types')],
    skipLibCheck: false,
    outDir: join(consumer, 'out')
  }, undefined, before)
  programs.set(bundler, program)
  const isOurs = ({ fileName }: ts.SourceFile): boolean =>
    fileName === join(consumer, file) || /\/(fastify-latchkey|fastify|@fastify\/jwt)\//.test(fileName)
  const diagnostics = [
    ...program.getOptionsDiagnostics(),
    ...program.getGlobalDiagnostics(),
    ...program.getSyntacticDiagnostics(),
    ...program.getSourceFiles().filter(isOurs).flatMap(source => program.getSemanticDiagnostics(source))
  ]
  program.emit(program.getSourceFile(join(consumer, file)))
  return diagnostics.map(diagnostic => ts.formatDiagnostic(diagnostic, {
    getCurrentDirectory: () => consumer, getCanonicalFileName: name => name, getNewLine: () => '\n'
  }).trim())
}

t.test('the tarball holds the compiled package and nothing else', async t => {
  for (const needed of [
    'package.json', 'README.md', 'LICENSE', 'dist/app.js', 'dist/app.d.ts', 'dist/client/index.js',
    'dist/testing/index.js', 'dist/verifier/index.js', 'dist/verifier/plugin.js', 'openapi.json',
    'dist/lib/passwords/worker.js', 'dist/lib/passwords/strength-worker.js', 'dist/routes/token/index.js',
    ...Object.values(manifest.bin)
  ]) {
    t.ok(paths.includes(needed), `it has ${needed}`)
  }
  const others = paths.filter(
    path => !/^(package\.json|openapi\.json|(README|CHANGELOG|CONTRIBUTING|SECURITY)\.md|LICENSE|Dockerfile|bench\/README\.md)$|^(docs|examples)\/|^dist\/.+(\.c?js|\.d\.c?ts|\.c?js\.map)$/.test(
      path
    )
  )
  t.same(others, [], 'no sources, no database, no secret, no build information')
  const strays = paths.filter(
    path => /^dist\/(test|examples|scripts|bench|packages)\/|^dist\/.+\.test\.|\.db|\.secret|\.env/.test(path)
  )
  t.same(strays, [], 'no tests, compiled examples or scripts')

  const scripts = paths.filter(path => /^dist\/.+\.c?js$/.test(path))
  for (const script of scripts) {
    const source = script.replace(/^dist\//, '').replace(/js$/, 'ts')
    t.resolves(
      access(join(root, source)),
      `${script} was compiled from ${source}, which is there: else remove dist and build again`
    )
    t.ok(paths.includes(script.replace(/\.(c?)js$/, '.d.$1ts')), `${script} has types`)
  }
  const maps = paths.filter(path => path.endsWith('.map'))
  for (const path of maps) {
    const map = JSON.parse(await readFile(join(unpacked, path), 'utf8')) as {
      sources: string[], sourcesContent?: string[]
    }
    t.equal(map.sourcesContent?.length, map.sources.length, `${path} carries its sources: they are not in the tarball`)
  }
})

t.test('the links of the pages in the tarball lead to files in the tarball', async t => {
  const folders = new Set(paths.map(path => dirname(path)))
  const pages = paths.filter(path => path.endsWith('.md'))
  t.ok(pages.includes('docs/README.md') && pages.includes('docs/reference/options.md'), 'the pages are found')
  for (const page of pages) {
    const text = (await readFile(join(unpacked, page), 'utf8')).replaceAll(/^( *)```[\s\S]*?^\1```$/gm, '')
    for (const [, link = ''] of text.matchAll(/\]\(([^)\s#]+)/g)) {
      const target = join(dirname(page), link).replace(/\/$/, '')
      // The tests that prove a statement are in the repository only.
      if (/^https?:/.test(link) || target.startsWith('test/')) continue
      t.ok(paths.includes(target) || folders.has(target), `${page}: ${link}`)
    }
  }
})

t.test('publint finds nothing', async t => {
  const { publint } = await import('publint')
  const { messages } = await publint({ pkgDir: unpacked, pack: false, strict: true })
  t.same(messages, [])
})

t.test('@arethetypeswrong/cli finds nothing', async t => {
  // On a copy: attw deletes a tarball of the name that it would pack itself.
  const copy = join(temporary, 'copy.tgz')
  await cp(tarball, copy)
  const { code, output } = await node(
    join(FOREIGN, '@arethetypeswrong', 'cli', 'dist', 'index.js'), [copy, '--profile', 'esm-only', '--no-emoji'],
    temporary
  )
  t.equal(code, 0, code === 0 ? 'clean' : output)
})

t.test('a consumer compiles against the packed types, the decorators among them, and runs', async t => {
  for (const bundler of [true, false]) {
    t.same(
      compile('app.ts', { bundler }), [], bundler ? 'for a bundler' : 'for Node.js'
    )
  }
  const { code, output } = await node('out/app.js', [], consumer)
  t.equal(code, 0, output)
  t.same(JSON.parse(output), {
    statuses: {
      '/me': 200,
      '/admin': 200,
      '/both': 403,
      '/optional': 200,
      '/imported': 200,
      '/users/me': 200,
      '/health/ready': 200
    },
    revoked: 401,
    anonymous: 200,
    sameId: true,
    tenant: 'ada',
    asAnybody: [200, 403, 401],
    byName: true,
    unused: 7
  })
})

t.test('a consumer that has declared its scopes: a misspelt one does not compile', async t => {
  await link('tstyche', FOREIGN)
  await link('typescript')
  const { code, output } = await node(join(FOREIGN, 'tstyche', 'build', 'bin.js'), [], consumer)
  t.equal(code, 0, output)
  t.match(output, /Test files: +1 passed/, 'the tests were found')
})

t.test('a consumer with a declaration of its own for @fastify/jwt keeps it, also without skipLibCheck', async t => {
  t.same(compile('own-jwt.ts'), [])
  const { code, output } = await node('out/own-jwt.js', [], consumer)
  t.equal(code, 0, output)
  t.same(JSON.parse(output), { own: 200, latchkey: [401, 200], admin: [401, 403] })
})

t.test('a consumer that decorates authenticate and declares request.user itself compiles and runs', async t => {
  t.same(compile('own-decorators.ts'), [], 'it lists them in OwnDeclarations, so also without skipLibCheck')
  const { code, output } = await node('out/own-decorators.js', [], consumer)
  t.equal(code, 0, output)
  t.same(JSON.parse(output), { own: [200, 401], latchkey: [401, 200], renamed: [401, 200] })

  const diagnostics = compile('own-user.ts')
  t.equal(diagnostics.length, 2, 'without the list only libraries have errors, which skipLibCheck leaves out')
  for (const diagnostic of diagnostics) t.match(diagnostic, /\/fastify\/types\/.*error TS2430: .*incorrectly extends/)
})

t.test('a consumer with @fastify/passport and @fastify/secure-session compiles, and boots in both orders', async t => {
  for (const name of ['@fastify/passport', '@fastify/secure-session', 'passport-local', '@types/passport-local']) {
    await link(name, FOREIGN)
  }
  t.same(compile('own-passport.ts'), [], 'it lists user in OwnDeclarations, so also without skipLibCheck')
  const { code, output } = await node('out/own-passport.js', [], consumer)
  t.equal(code, 0, output)
  for (const line of output.trim().split('\n')) {
    t.same(JSON.parse(line), { own: ['bob', 200, 401], latchkey: [401, 200, 200], me: 200 })
  }
})

t.test('a consumer that declares integer ids gets numbers, and cannot forget the option', async t => {
  t.same(compile('integer-ids.ts'), [], 'also without skipLibCheck')
  const { code, output } = await node('out/integer-ids.js', [], consumer)
  t.equal(code, 0, output)
  t.same(JSON.parse(output), {
    me: { id: 5, username: 'ada', scopes: ['admin'] }, ended: { ended: 1, twice: 10 }, after: 401, unused: 5
  })
})

t.test('a consumer of the verifier compiles, beside the full plugin too, and runs', async t => {
  for (const bundler of [true, false]) {
    t.same(
      compile('verifier.ts', { bundler }), [], bundler ? 'for a bundler' : 'for Node.js'
    )
  }
  const { code, output } = await node('out/verifier.js', [], consumer)
  t.equal(code, 0, output)
  t.same(JSON.parse(output), { verified: true, refused: 'invalid_token', statuses: [200, 403, 401], unused: 2 })
})

t.test('the commands of the package run', async t => {
  for (const [name, file] of Object.entries(manifest.bin)) {
    const path = join(unpacked, file)
    const help = await node(path, ['--help'], consumer)
    t.equal(help.code, 0, help.output)
    t.match(help.output, new RegExp(`Usage: ${name}`), 'it explains itself')
    const text = await readFile(path, 'utf8').catch(() => '')
    t.match(text.split('\n')[0], /^#!\/usr\/bin\/env node/, `npm links ${name} to a file that a shell can start`)
  }
})
