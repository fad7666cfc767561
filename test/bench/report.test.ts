import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { listContenders } from '../../bench/contenders.js'
import { toReport } from '../../bench/report.js'
import { median, percentile, ratiosOf, spread, toText } from '../../bench/section.js'
import type { Section } from '../../bench/section.js'

const SECTION: Section = {
  title: 'A chapter',
  columns: ['requests/s', 'x'],
  rows: [{ name: 'one', cells: ['5 (4 to 6)', '1.00'] }, { name: 'another', cells: ['fails: revoked: got 200'] }],
  verdicts: [{ target: 'at least 3', measured: '5', met: true }, { target: 'at most 4', measured: '5', met: false }],
  notes: ['A note.']
}

t.test('the report that is kept here was written by this program: it has each contender of today', async t => {
  const report = await readFile(join(import.meta.dirname, '..', '..', '..', 'bench', 'README.md'), 'utf8')
  t.match(report, /^# Benchmark\n\n<!-- Written by `npm run bench`. Do not edit. -->\n/)
  const written = (await toReport(
    [], { date: new Date(0), minutes: '1', rounds: 5 }
  )).split('## How to read it')[1]?.split('## Targets')[0] ?? ''
  t.ok(report.includes(written), 'how it is read')
  for (const { title } of await listContenders()) t.ok(report.includes(`\n- ${title}: `), title)
})

t.test('a report says what was met and what was missed, and a row that was not timed says why', async t => {
  const report = await toReport([SECTION], { date: new Date('2026-01-02T03:04:05Z'), minutes: '7.5', rounds: 3 })
  t.match(report, /Measured on 2026-01-02 in 7\.5 minutes, on /)
  t.match(report, '| A chapter | at least 3 | 5 | met |\n| A chapter | at most 4 | 5 | **missed** |')
  t.match(report, '| another | fails: revoked: got 200 |  |')
  t.match(report, 'A note.\n')
  t.match(toText(SECTION), /missed {2}at most 4: 5/)
})

t.test('medians, spreads, ratios within a round', async t => {
  t.equal(median([3, 1, 2]), 2)
  t.equal(median([4, 1, 2, 3]), 2)
  t.throws(() => median([]))
  t.equal(spread([3, 1, 2], 1), '2.0 (1.0 to 3.0)')
  t.same(ratiosOf([{ rate: 4 }, { rate: 9 }], [{ rate: 2 }, { rate: 3 }], ({ rate }) => rate), [2, 3])
  const hundred = Array.from({ length: 100 }, (_, index) => index + 1)
  t.same([percentile(hundred, 0.5), percentile(hundred, 0.99), percentile(hundred, 1)], [51, 100, 100])
})
