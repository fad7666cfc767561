import { execFile } from 'node:child_process'
import { cpus, totalmem } from 'node:os'
import { promisify } from 'node:util'
import { listContenders } from './contenders.js'
import { GENERATOR } from './load.js'
import type { Section } from './section.js'

/** The longest line of the report, except in tables. */
const WIDTH = 120

/** The report as Markdown: the machine, the targets, the tables, and how to read them. */
export async function toReport (
  sections: readonly Section[],
  { date, minutes, rounds }: { date: Date, minutes: string, rounds: number }
): Promise<string> {
  const contenders = await listContenders()
  const verdicts = sections.flatMap(({ title, verdicts }) =>
    verdicts.map(({ target, measured, met }) => [title, target, measured, met ? 'met' : '**missed**'])
  )
  return [
    '# Benchmark',
    '',
    '<!-- Written by `npm run bench`. Do not edit. -->',
    '',
    wrap(`Measured on ${date.toISOString().slice(0, 10)} in ${minutes} minutes, on ${nameMachine()}. ` +
      `The load came from ${await nameGenerator()}.`),
    '',
    ...contenders.map(({ title, reason, notes }) => {
      const engine = notes.startsWith('python') ? '' : `, Node.js ${process.versions.node}`
      return wrap(`- ${title}: ${reason === undefined ? `${notes}${engine}` : `skipped. ${reason}`}`)
    }),
    '',
    '## How to read it',
    '',
    wrap('Each contender is a server in its own process. Another process sends it requests over loopback. In each ' +
      `of ${rounds} rounds the contenders run one after the other. A cell shows the median of the rounds, with ` +
      'the minimum and the maximum in brackets.'),
    wrap('Compare figures within one table only, because another run or machine gives different ones. The ratio `x` ' +
      'is computed within each round. The processor time covers the whole process of the server, and varies less ' +
      'than the rate.'),
    wrap('Nothing is switched off for the benchmark. Tokens are checked for expiry, revocation, audience and scope, ' +
      'commits are durable, and password attempts are limited.'),
    '',
    '## Targets',
    '',
    ...toTable(['', 'target', 'measured, median (min to max)', ''], verdicts),
    ...sections.flatMap(toMarkdown)
  ].join('\n') + '\n'
}

function toMarkdown ({ title, columns, rows, notes }: Section): string[] {
  return [
    '',
    `## ${title}`,
    '',
    ...toTable(
      ['', ...columns],
      rows.map(({ name, cells }) => [name, ...cells, ...Array<string>(columns.length - cells.length).fill('')])
    ),
    '',
    ...notes.flatMap(note => [wrap(note), '']).slice(0, -1)
  ]
}

function toTable (heads: string[], lines: string[][]): string[] {
  return [heads, heads.map((_, column) => (column === 0 ? '---' : '---:')), ...lines].map(
    cells => `| ${cells.join(' | ')} |`
  )
}

/** Wraps a paragraph, or an item of a list, which continues indented. */
function wrap (text: string): string {
  const indent = text.startsWith('- ') ? '  ' : ''
  const lines: string[] = []
  let line = ''
  for (const word of text.split(' ')) {
    if (line !== '' && line.length + 1 + word.length > WIDTH) {
      lines.push(line)
      line = indent + word
    } else line += line === '' ? word : ` ${word}`
  }
  return [...lines, line].join('\n')
}

function nameMachine (): string {
  const processor = `${cpus().length} x ${cpus()[0]?.model.trim()}`
  return `${processor}, ${(totalmem() / 2 ** 30).toFixed(0)} GiB, ${process.platform} ${process.arch}`
}

async function nameGenerator (): Promise<string> {
  if (GENERATOR !== 'wrk') return GENERATOR
  // wrk -v prints the version and exits with 1.
  const { stdout } = await promisify(execFile)('wrk', ['-v']).catch((error: { stdout: string }) => error)
  return /^wrk \S+/.exec(stdout)?.[0] ?? GENERATOR
}
