import { fork } from 'node:child_process'
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { measureBoot } from './boot.js'
import { measureCluster } from './cluster.js'
import { measureLogin } from './login.js'
import { measureProtected } from './protected.js'
import { measureRefresh } from './refresh.js'
import { toReport } from './report.js'
import { measureRevoke } from './revoke.js'
import { toText } from './section.js'
import type { Effort, Section } from './section.js'

// npm run bench [-- --quick] [-- protected | login | refresh | revoke | cluster | scale | keys | boot | sockets ...]
//
// Runs all chapters, or the named ones. Only a full run without --quick writes the report (bench/README.md). To measure
// the cluster of another checkout: npm run bench -- cluster --dist ../other/dist

const CHAPTERS: Record<string, (effort: Effort) => Promise<Section>> = {
  protected: measureProtected,
  login: measureLogin,
  refresh: measureRefresh,
  revoke: measureRevoke,
  cluster: measureCluster,
  scale: ({ quick }) => measureApart('./scale.js', quick ? ['--quick'] : []),
  keys: ({ quick }) => measureApart('./keys.js', quick ? ['--quick'] : []),
  boot: measureBoot,
  sockets: ({ quick }) => measureApart('./sockets.js', quick ? ['--quick'] : [])
}

const WHOLE: Effort = { rounds: 5, seconds: 1, quick: false }
const QUICK: Effort = { rounds: 1, seconds: 0.5, quick: true }

const REPORT = fileURLToPath(new URL('../../bench/README.md', import.meta.url))

const { values, positionals } = parseArgs({
  options: { quick: { type: 'boolean', default: false }, dist: { type: 'string' } },
  allowPositionals: true
})
const unknown = positionals.filter(name => !(name in CHAPTERS))
if (unknown.length > 0) {
  console.error(`Unknown chapter '${unknown.join("', '")}'. Choose from: ${Object.keys(CHAPTERS).join(', ')}.`)
  process.exit(2)
}
if (values.dist !== undefined && positionals.join() !== 'cluster') {
  console.error('--dist works with the chapter cluster only: run npm run bench -- cluster --dist FOLDER.')
  process.exit(2)
}

const begun = performance.now()
const sections: Section[] = []
for (const [name, measure] of Object.entries(CHAPTERS)) {
  if (positionals.length > 0 && !positionals.includes(name)) continue
  console.error(`${name} ...`)
  const section = await measure({
    ...values.quick ? QUICK : WHOLE,
    dist: values.dist && resolve(values.dist)
  })
  console.log(`\n${toText(section)}\n`)
  sections.push(section)
}
const minutes = ((performance.now() - begun) / 60_000).toFixed(1)
if (positionals.length === 0 && !values.quick) {
  await writeFile(REPORT, await toReport(sections, { date: new Date(), minutes, rounds: WHOLE.rounds }))
}
console.error(`${sections.flatMap(({ verdicts }) => verdicts).filter(({ met }) => !met).length} targets were missed. ` +
  `The run took ${minutes} minutes.`)

/** Measures in a separate process, so that nothing else is in memory. */
async function measureApart (program: string, args: string[]): Promise<Section> {
  const child = fork(new URL(program, import.meta.url), args, { execArgv: ['--expose-gc'] })
  const failed = once(child, 'exit').then(([code]) => { throw new Error(`${program} exited with code ${code}`) })
  failed.catch(() => {}) // The process also exits after its message.
  const [section] = await Promise.race([once(child, 'message'), failed]) as [Section]
  return section
}
