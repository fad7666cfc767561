import { cp, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { build } from 'esbuild'
import type { Format } from 'esbuild'
import t from 'tap'
import ts from 'typescript'
import { createConsumer, FOREIGN, manifest, node, root } from './packed.js'
import type { Outcome } from './packed.js'

// Compilers on a busy machine take their time, also where no .taprc says so.
t.setTimeout(300_000)

const { consumer, temporary, link } = await createConsumer(t)
await cp(join(root, 'test', 'foreign', 'consumer'), consumer, { recursive: true })
for (const name of ['fastify-cli', '@fastify/autoload']) await link(name, FOREIGN)

/** Bundles a file of the consumer, and runs the bundle from another folder. */
async function runBundle (
  file: string, { format, external }: { format: Format, external: string[] | 'all' }
): Promise<Outcome> {
  const outfile = join(consumer, 'out', file.replace(/\.js$/, format === 'esm' ? '.mjs' : '.cjs'))
  await build({
    entryPoints: [join(consumer, file)],
    outfile,
    format,
    bundle: true,
    platform: 'node',
    logLevel: 'silent',
    ...(external === 'all' ? { packages: 'external' } : { external })
  })
  return await node(outfile, [], temporary)
}

for (const format of ['esm', 'cjs'] as const) {
  t.test(`an app that esbuild has bundled as ${format} with external packages logs in and revokes`, async t => {
    const { output } = await runBundle('bundled.js', { format, external: 'all' })
    t.equal(output, '[200,200,204,401]\n')
  })
}

t.test('a bundle with everything but Latchkey logs in and revokes', async t => {
  const { output } = await runBundle('bundled.js', { format: 'cjs', external: ['fastify-latchkey'] })
  t.equal(output, '[200,200,204,401]\n')
})

t.test('a bundle with Latchkey in it does not boot, and the error names the option of the bundler', async t => {
  const { code, output } = await runBundle('bundled.js', { format: 'cjs', external: ['better-sqlite3', 'pg-native'] })
  t.equal(code, 1)
  t.match(output, /^fastify-latchkey cannot run from inside a bundle, .* esbuild --external:fastify-latchkey\. /)
})

t.test('a bundle with all of the verifier and the client works', async t => {
  const { output } = await runBundle('bundled-verifier.js', { format: 'cjs', external: [] })
  t.equal(output, '[401,"function"]\n')
})

t.test('every entry can be required, and the engines are those that can require it', async t => {
  t.strictSame(manifest.engines, { node: '^20.19.0 || >=22.12.0' })
  const entries = Object.keys(manifest.exports).map(entry => entry.replace('.', 'fastify-latchkey'))
  t.ok(entries.includes('fastify-latchkey/verifier/plugin'))
  const file = join(consumer, 'require.cjs')
  await writeFile(file, `
    const names = ${JSON.stringify(entries)}.map(entry => Object.keys(require(entry)))
    const { default: latchkey, authenticate } = require('fastify-latchkey')
    console.log(JSON.stringify([names.every(({ length }) => length > 0), typeof latchkey, typeof authenticate]))
  `)
  const { code, output } = await node(file, [], consumer)
  t.equal(code, 0, output)
  t.match(output, /^\[true,"function","function"\]$/m)
})

for (const kind of ['module', 'commonjs']) {
  t.test(`fastify-cli and @fastify/autoload load Latchkey in a package of type ${kind}`, async t => {
    const { output } = await node(join(consumer, 'cli.cjs'), ['app.js'], join(consumer, `cli-${kind}`))
    t.match(output, /^\[200,401,401\]$/m)
  })
}
const RESOLUTIONS = { node10: ts.ModuleResolutionKind.Node10, bundler: ts.ModuleResolutionKind.Bundler }

/** Compiles files of the consumer, and returns the errors. */
function compile (
  files: string[], module: keyof typeof ts.ModuleKind, moduleResolution?: keyof typeof RESOLUTIONS
): string[] {
  const program = ts.createProgram(files.map(file => join(consumer, 'modules', file)), {
    strict: true,
    noEmit: true,
    esModuleInterop: true,
    target: ts.ScriptTarget.ES2022,
    module: ts.ModuleKind[module],
    ...(moduleResolution !== undefined && { moduleResolution: RESOLUTIONS[moduleResolution] }),
    types: ['node'],
    typeRoots: [join(consumer, 'node_modules', '@types')],
    skipLibCheck: true
  })
  return ts.getPreEmitDiagnostics(program).map(({ code, messageText }) =>
    `TS${code}: ${ts.flattenDiagnosticMessageText(messageText, '\n')}`)
}

t.test('TypeScript finds the types of every entry, for each way to look for them', async t => {
  const files = ['imports.ts', 'imports.mts', 'dynamic.cts']
  for (const module of ['Node16', 'Node18'] as const) t.same(compile(files, module), [], module)
  for (const module of ['Node20', 'NodeNext'] as const) t.same(compile([...files, 'required.cts'], module), [], module)
  t.same(compile(['imports.ts'], 'ESNext', 'bundler'), [], 'moduleResolution: bundler')
  t.same(compile(['imports.ts'], 'CommonJS', 'node10'), [], 'moduleResolution: node10')
  t.match(compile(['required.cts'], 'Node16'), [/^TS1471: /], 'module: Node16 needs import(), as the page says')
})
