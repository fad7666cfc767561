import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'

// tap builds its own class from the plugins in .taprc. That takes seconds, so it happens only after these or tap have changed.

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
