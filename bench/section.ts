/** A chapter of the report: a table, and what it says of the targets. */
export interface Section {
  title: string
  /** The heads of the cells; that of the names is left out. */
  columns: string[]
  rows: Array<{ name: string, cells: string[] }>
  verdicts: Array<{ target: string, measured: string, met: boolean }>
  /** How to read it: a sentence or two each. */
  notes: string[]
}

/** How much is measured. */
export interface Effort {
  rounds: number
  /** Of one run of load. */
  seconds: number
  /** Whether it must not take long: once, with fewer rules and contenders, and without a profile of what is missed. */
  quick: boolean
}

/** The one in the middle; of an even number the lower of two. */
export function median (values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted[Math.floor((sorted.length - 1) / 2)]
  if (middle === undefined) throw new Error('There is no median of nothing')
  return middle
}

/** Of sorted values, the one below which this share of them lies. */
export function percentile (sorted: readonly number[], share: number): number {
  return sorted[Math.min(Math.floor(sorted.length * share), sorted.length - 1)] ?? NaN
}

/** The median and the spread: `12.3 (11.9 to 14.0)`. */
export function spread (values: readonly number[], digits = 0): string {
  const [middle, least, most] = [median(values), Math.min(...values), Math.max(...values)].map(value => value.toFixed(digits))
  return `${middle} (${least} to ${most})`
}

/** Within each round: the machine has other work in the next. */
export function ratiosOf<T> (runs: readonly T[], bases: readonly T[], read: (run: T) => number): number[] {
  return runs.map((run, round) => {
    const base = bases[round]
    return base === undefined ? NaN : read(run) / read(base)
  })
}

/** A section as text, for a terminal. */
export function toText ({ title, columns, rows, verdicts, notes }: Section): string {
  const lines = [['', ...columns], ...rows.map(({ name, cells }) => [name, ...cells])]
  const widths = lines[0]?.map((_, column) => Math.max(...lines.map(line => line[column]?.length ?? 0))) ?? []
  return [
    title, '',
    ...lines.map(line => line.map((cell, column) => column === 0 ? cell.padEnd(widths[0] ?? 0) : cell.padStart(widths[column] ?? 0)).join('  ')), '',
    ...verdicts.map(({ target, measured, met }) => `${met ? 'met   ' : 'missed'}  ${target}: ${measured}`), '',
    ...notes
  ].join('\n')
}
