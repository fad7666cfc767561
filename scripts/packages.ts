import { cp, mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { dirname, join, posix } from 'node:path'
import ts from 'typescript'

// `npm run packages` builds the small packages in dist/packages/, ready for `npm publish`. They contain the same
// compiled code as the full package, but only the files that their entries load:
//
//   node dist/scripts/packages.js [FOLDER]

const root = join(import.meta.dirname, '..', '..')

interface SmallPackage {
  description: string
  keywords: readonly string[]
  /** The folder that contains its README. */
  folder: string
  /** Maps what an app imports, such as `.` or `./plugin`, to the compiled file without its extension. */
  entries: Readonly<Record<string, string>>
}

export const SMALL_PACKAGES: Readonly<Record<string, SmallPackage>> = {
  'fastify-latchkey-client': {
    description: 'Client for Latchkey in browsers, React Native and Node.js: log in, refresh, send the token.',
    keywords: ['authentication', 'refresh-token', 'fetch', 'browser', 'react-native'],
    folder: 'client',
    entries: { '.': 'client/index' }
  },
  'fastify-latchkey-verifier': {
    description: 'Verifies Latchkey access tokens in another process, and rejects revoked tokens within a second.',
    keywords: ['fastify-plugin', 'authentication', 'authorization', 'jwt', 'revocation'],
    folder: 'verifier',
    entries: { '.': 'verifier/index', './plugin': 'verifier/plugin' }
  }
}

/** The part of package.json that this script reads. */
export interface Manifest {
  version: string
  type: string
  engines: Record<string, string>
  dependencies: Record<string, string>
  peerDependencies: Record<string, string>
}

export const readManifest = async (): Promise<Manifest> =>
  JSON.parse(await readFile(join(root, 'package.json'), 'utf8')) as Manifest

/** The members that all packages have in common. */
const SHARED = ['version', 'author', 'license', 'repository', 'homepage', 'bugs', 'funding', 'type', 'engines']

/** What the entries of a package load: compiled files below dist/, and the names of packages. */
interface Closure { files: Set<string>, packages: Set<string> }

async function follow (file: string, closure: Closure): Promise<void> {
  if (closure.files.has(file)) return
  closure.files.add(file)
  const { importedFiles } = ts.preProcessFile(await readFile(join(root, 'dist', file), 'utf8'), true, true)
  for (const { fileName: name } of importedFiles) {
    if (name.startsWith('.')) {
      const target = posix.join(posix.dirname(file), name)
      await follow(file.endsWith('.d.ts') ? target.replace(/\.js$/, '.d.ts') : target, closure)
    } else if (!/^(node:|https?$)/.test(name)) {
      closure.packages.add(/^(@[^/]+\/)?[^/]+/.exec(name)?.[0] ?? name)
    }
  }
}

function pick (names: Iterable<string>, ranges: Record<string, string>): Record<string, string> {
  return Object.fromEntries([...names].sort().flatMap(name => ranges[name] === undefined ? [] : [[name, ranges[name]]]))
}

/**
 * Copies a compiled file. Errors and comments that name the full package's entry then name the small package. Both
 * names have the same length, so the source map stays correct.
 */
async function copyCompiled (file: string, place: string): Promise<void> {
  const [from, to] = [join(root, 'dist', file), join(place, 'dist', file)]
  await mkdir(dirname(to), { recursive: true })
  const text = await readFile(from, 'utf8')
  await writeFile(to, text.replaceAll(/\bfastify-latchkey\/(client|verifier)\b/g, 'fastify-latchkey-$1'))
  if (file.endsWith('.js')) await cp(`${from}.map`, `${to}.map`)
}

/** Writes each package to a folder in `target` that has the package's name. */
export async function writePackages (target: string): Promise<void> {
  const manifest = await readManifest()
  for (const [name, { folder, entries, ...texts }] of Object.entries(SMALL_PACKAGES)) {
    const closure: Closure = { files: new Set(), packages: new Set() }
    for (const entry of Object.values(entries)) {
      await follow(`${entry}.js`, closure)
      await follow(`${entry}.d.ts`, closure)
    }
    const { dependencies, peerDependencies } = manifest
    const missing = [...closure.packages].filter(name => !(name in dependencies) && !(name in peerDependencies))
    if (missing.length > 0) throw new Error(`${name} imports ${missing.join(', ')}: add it to package.json`)

    const place = join(target, name)
    await rm(place, { recursive: true, force: true })
    for (const file of closure.files) await copyCompiled(file, place)
    await cp(join(root, 'LICENSE'), join(place, 'LICENSE'))
    await cp(join(root, folder, 'README.md'), join(place, 'README.md'))
    const peers = pick(closure.packages, peerDependencies)
    await writeFile(join(place, 'package.json'), JSON.stringify({
      name,
      ...texts,
      ...Object.fromEntries(SHARED.flatMap(key => key in manifest ? [[key, manifest[key as keyof Manifest]]] : [])),
      ...entryPoints(entries),
      files: ['dist'],
      dependencies: pick(closure.packages, dependencies),
      ...(Object.keys(peers).length > 0 && {
        peerDependencies: peers,
        // Only the entry that is a plugin needs Fastify.
        peerDependenciesMeta: Object.fromEntries(Object.keys(peers).map(peer => [peer, { optional: true }]))
      })
    }, null, 2) + '\n')
  }
}

/** `main`, `types` and `typesVersions` are for tools that do not read `exports`. */
function entryPoints (entries: Readonly<Record<string, string>>): object {
  const files = Object.entries(entries).map(([entry, file]) => {
    return { entry, types: `./dist/${file}.d.ts`, default: `./dist/${file}.js` }
  })
  const [first, ...others] = files
  return {
    exports: {
      ...Object.fromEntries(files.map(({ entry, ...paths }) => [entry, paths])),
      './package.json': './package.json'
    },
    main: first?.default,
    types: first?.types,
    ...(others.length > 0 && {
      typesVersions: { '*': Object.fromEntries(others.map(({ entry, types }) => [entry.slice(2), [types]])) }
    })
  }
}

if (process.argv[1] === import.meta.filename) {
  const target = process.argv[2] ?? join(root, 'dist', 'packages')
  await writePackages(target)
  for (const name of Object.keys(SMALL_PACKAGES)) console.log(join(target, name))
}
