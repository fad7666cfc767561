import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'

/** How to get a working better-sqlite3 with a package manager. Each text is the end of a sentence. */
export interface PackageManager {
  /** How to compile the binding even if install scripts are disabled. */
  build: string
  /** How to install this version, although the app does not depend on better-sqlite3 directly. */
  pin (version: string): string
}

const NPM: PackageManager = {
  // Without the option, npm skips the script and reports success if `ignore-scripts` is set.
  build: 'run `npm rebuild better-sqlite3 --ignore-scripts=false`',
  pin: version => `run \`npm install better-sqlite3@${version}\``
}

/** A file that each package manager writes. `yarn.lock` comes last, because both versions of Yarn write it. */
const MANAGERS: ReadonlyArray<[file: string, manager: PackageManager]> = [
  ['package-lock.json', NPM],
  ['pnpm-lock.yaml', {
    build: 'run `pnpm approve-builds`, select better-sqlite3, and run `pnpm rebuild better-sqlite3`',
    pin: version => `add \`overrides: { better-sqlite3: ${version} }\` to pnpm-workspace.yaml, and run \`pnpm install\``
  }],
  ['bun.lock', {
    build: 'run `bun pm trust better-sqlite3`',
    pin: version => `add \`"overrides": { "better-sqlite3": "${version}" }\` to package.json, and run \`bun install\``
  }],
  ['.yarnrc.yml', {
    build: 'run `yarn config set enableScripts true` and `yarn rebuild better-sqlite3`',
    pin: pinWithYarn
  }],
  ['yarn.lock', { build: NPM.build, pin: pinWithYarn }]
]

function pinWithYarn (version: string): string {
  return `add \`"resolutions": { "better-sqlite3": "${version}" }\` to package.json, and run \`yarn install\``
}

/**
 * Returns the package manager that installed better-sqlite3. If no folder around it has a lock file, for example in an
 * image with `node_modules` alone, it returns npm.
 * @param folder - where better-sqlite3 is. Only tests pass another one.
 */
export function findPackageManager (folder = folderOfSqlite()): PackageManager {
  for (let current = folder; ; current = dirname(current)) {
    const found = MANAGERS.find(([file]) => existsSync(join(current, file)))
    if (found !== undefined) return found[1]
    if (dirname(current) === current) return NPM
  }
}

function folderOfSqlite (): string {
  return dirname(createRequire(import.meta.url).resolve('better-sqlite3/package.json'))
}
