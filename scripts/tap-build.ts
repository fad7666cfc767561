import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

// tap builds a class from the plugins in .taprc. That takes seconds, so this script builds it only if .taprc or the
// version of tap has changed.

const MARK = 'node_modules/.tap-build'

const { version } = JSON.parse(readFileSync('node_modules/tap/package.json', 'utf8')) as { version: string }
const current = createHash('sha256').update(version).update(readFileSync('.taprc')).digest('hex')

function readMark (): string | undefined {
  try {
    return readFileSync(MARK, 'utf8')
  } catch {
    return undefined
  }
}

if (readMark() !== current) {
  execFileSync('tap', ['build'], { stdio: 'inherit' })
  writeFileSync(MARK, current)
}

// The compiler keeps the output of an entry that was renamed, and tap would run its tests twice.
const ENTRIES = 'test/shards'

for (const file of readdirSync(join('dist', ENTRIES), { recursive: true, encoding: 'utf8' })) {
  if (file.endsWith('.test.js') && !existsSync(join(ENTRIES, file.replace(/\.js$/, '.ts')))) {
    rmSync(join('dist', ENTRIES, file))
  }
}
