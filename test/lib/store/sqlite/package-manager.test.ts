import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { findPackageManager } from '../../../../lib/store/sqlite/package-manager.js'

t.test('advice about better-sqlite3 names the commands of the package manager that installed it', async t => {
  const table: Array<[files: string[], build: RegExp, pin: RegExp]> = [
    [['package-lock.json'], /^run `npm rebuild .*--ignore-scripts=false`$/, /^run `npm install better-sqlite3@12\.1`$/],
    [['pnpm-lock.yaml'], /^run `pnpm approve-builds`/, /overrides: \{ better-sqlite3: 12\.1 \}.*pnpm-workspace\.yaml/],
    [['bun.lock'], /^run `bun pm trust better-sqlite3`$/, /"overrides": \{ "better-sqlite3": "12\.1" \}.*`bun install`$/],
    [['yarn.lock', '.yarnrc.yml'], /`yarn rebuild better-sqlite3`$/, /"resolutions": .*"12\.1".*`yarn install`$/],
    [['yarn.lock'], /^run `npm rebuild better-sqlite3/, /"resolutions": .*"12\.1".*`yarn install`$/],
    [[], /^run `npm rebuild better-sqlite3/, /^run `npm install better-sqlite3@12\.1`$/]
  ]
  for (const [files, build, pin] of table) {
    const root = t.testdir({ node_modules: { '.pnpm': { 'better-sqlite3': {} } } })
    for (const file of files) await writeFile(join(root, file), '')
    const found = findPackageManager(join(root, 'node_modules', '.pnpm', 'better-sqlite3'))
    t.match(found.build, build, files.join())
    t.match(found.pin('12.1'), pin, files.join())
  }
})
