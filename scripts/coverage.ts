import { readFile } from 'node:fs/promises'
import { relative } from 'node:path'

// A step of `npm run test:all`: the tests must cover 95 % of the branches in each of these folders of TypeScript
// sources.
const FOLDERS = ['lib', 'plugins', 'routes', 'verifier']
const LEAST = 95

interface Summary {
  branches: { total: number, covered: number }
}

const report = JSON.parse(await readFile('.tap/report/coverage-summary.json', 'utf8')) as Record<string, Summary>
for (const folder of FOLDERS) {
  const files = Object.entries(report).filter(([file]) => relative('.', file).startsWith(`${folder}/`))
  const total = files.reduce((sum, [, { branches }]) => sum + branches.total, 0)
  const covered = files.reduce((sum, [, { branches }]) => sum + branches.covered, 0)
  const percentage = total === 0 ? 0 : covered / total * 100
  console.log(`${folder}: ${percentage.toFixed(1)} % of ${total} branches in ${files.length} files`)
  if (percentage < LEAST) {
    console.error(`${folder}: fewer than ${LEAST} % of the branches are covered`)
    process.exitCode = 1
  }
}
