import { mkdir, readdir, rm, writeFile } from 'node:fs/promises'
import { join, relative } from 'node:path'

// `npm run shards`: writes test/shards/. A process for each test file would spend most of its time on starting, so all
// files of an entry run in one process, one after the other. You can still run a file alone:
//
//   node dist/test/lib/identity/scopes.test.js

/**
 * The entries of `npm test`, the slowest first: folders, and single files. A file belongs to the first entry that names
 * it.
 */
const QUICK: Record<string, readonly string[]> = {
  // It waits more than it computes, so it starts first and leaves the cores to the others.
  postgres: ['postgres'],
  lib: ['lib'],
  routes: ['routes'],
  plugins: ['plugins'],
  commands: ['commands', 'cli.test.ts'],
  examples: ['examples', 'testing', 'client/client.test.ts', 'dockerfile.test.ts'],
  standards: [
    'standards',
    'docs.test.ts',
    'import-recipes.test.ts',
    'project.test.ts',
    'readme.test.ts',
    'schemas.test.ts',
    'architecture.test.ts',
    'shards.test.ts',
    'bench/report.test.ts'
  ],
  verifier: ['verifier', 'vectors', 'model'],
  service: ['service']
}

/** What `npm run test:all` adds with the packages of test/foreign. Nothing else can import these. */
const FOREIGN: Record<string, readonly string[]> = {
  package: ['foreign/package.test.ts'],
  packages: ['foreign/packages.test.ts'],
  'module-systems': ['foreign/module-systems.test.ts'],
  browser: ['foreign/browser', 'foreign/websocket.test.ts'],
  'regular-expressions': ['foreign/regular-expressions.test.ts'],
  foreign: ['foreign']
}

/**
 * What `npm run test:all` adds besides: life beside the plugins of others, programs that may be missing, and what must
 * have a process of its own.
 */
const SLOW: Record<string, readonly string[]> = {
  hosts: ['hosts'],
  // They stop database servers, which others in their process would notice.
  'stopped-servers': ['commands/copy-failures.test.ts', 'postgres/failover.test.ts', 'postgres/takeover.test.ts'],
  poolers: ['postgres/pooler.test.ts'],
  bench: ['bench/contenders.test.ts'],
  'hot-path': ['hot-path/requests.test.ts'],
  allocations: ['hot-path/allocations.test.ts'],
  timing: ['plugins/timing.test.ts'],
  models: ['spin']
}

/** What `npm run test:postgres` runs a second time, on PostgreSQL: the tests whose requests reach the store. */
const POSTGRES: Record<string, readonly string[]> = {
  routes: ['routes'],
  plugins: ['plugins'],
  rest: [
    'service',
    'standards',
    'lib/ledger/audit.test.ts',
    'lib/sessions/limit.test.ts',
    'lib/status-lists',
    'lib/throttle/attempts.test.ts'
  ]
}

/** Tests in those folders that never reach the store, or that measure time. */
const WITHOUT_STORE = [
  'plugins/content-types.test.ts',
  'plugins/load-shedding.test.ts',
  'plugins/not-found.test.ts',
  'plugins/timing.test.ts',
  'plugins/validation.test.ts',
  'routes/openapi.test.ts',
  'routes/server-metadata.test.ts',
  'standards/coverage.test.ts'
]

/** Folders whose files other commands run. */
const ELSEWHERE = ['shards', 'faults']

export interface Shard {
  /** Its path below test/shards/, without the ending. */
  name: string
  /** Paths below test/. */
  files: string[]
}

const isIn = (file: string, places: readonly string[]): boolean =>
  places.some(place => file === place || file.startsWith(`${place}/`))

/** Returns the test files, as sorted paths below test/. */
export async function listTests (root: string): Promise<string[]> {
  const files = await readdir(join(root, 'test'), { recursive: true })
  return files.filter(file => file.endsWith('.test.ts') && !file.includes('node_modules')).sort()
}

/** What each entry holds. */
interface Plan {
  /** The entries that hold each test once. */
  shards: Shard[]
  /** The entries that run tests again on PostgreSQL. */
  again: Shard[]
  /** The test files that no entry holds. */
  left: string[]
}

/** Reads the test tree. */
export async function planShards (root: string): Promise<Plan> {
  const files = (await listTests(root)).filter(file => !isIn(file, ELSEWHERE))
  const foreign = plan('foreign', FOREIGN, files)
  const slow = plan('all', SLOW, files)
  const rest = files.filter(file => ![...foreign, ...slow].some(shard => shard.files.includes(file)))
  const shards = [...plan('quick', QUICK, rest), ...slow, ...foreign]
  return {
    shards,
    again: plan('postgres', POSTGRES, files.filter(file => !isIn(file, WITHOUT_STORE))),
    left: files.filter(file => !shards.some(shard => shard.files.includes(file)))
  }
}

function plan (command: string, names: Record<string, readonly string[]>, files: readonly string[]): Shard[] {
  const left = new Set(files)
  return Object.entries(names).map(([name, places], index) => {
    const found = [...left].filter(file => isIn(file, places))
    for (const file of found) left.delete(file)
    // tap starts the entries in the order of their names.
    return { name: `${command}/${String(index + 1).padStart(2, '0')}-${name}`, files: found }
  })
}

/** The text of an entry. */
export function renderShard ({ name, files }: Shard): string {
  const folder = join('test/shards', name, '..')
  const imports = files.map(file => `import '${relative(folder, join('test', file)).replace(/\.ts$/, '.js')}'`)
  return `// Written by npm run shards: see scripts/shards.ts.\nimport t from 'tap'\n${imports.join('\n')}\n\n// The ` +
    'timeout in a test file only covers that file.\nt.setTimeout(600_000)\n'
}

if (process.argv[1] === import.meta.filename) {
  const { shards, again, left } = await planShards('.')
  if (left.length > 0) throw new Error(`No entry of scripts/shards.ts contains ${left.join(', ')}: add them to one`)
  await rm('test/shards', { recursive: true, force: true })
  for (const shard of [...shards, ...again]) {
    const file = join('test/shards', `${shard.name}.test.ts`)
    await mkdir(join(file, '..'), { recursive: true })
    await writeFile(file, renderShard(shard))
  }
}
