/** A chapter of the report: a table, and the verdicts on its targets. */
export interface Section {
  title: string
  /** The headings of the cells. The column of names has none. */
  columns: string[]
  rows: Array<{ name: string, cells: string[] }>
  verdicts: Array<{ target: string, measured: string, met: boolean }>
  /** How to read the table. Each note is a few sentences. */
  notes: string[]
}

/** How much to measure. */
export interface Effort {
  rounds: number
  /** The length of one run. */
  seconds: number
  /** Whether to measure once only, with fewer rules and contenders, and without profiles of missed targets. */
  quick: boolean
  /** The folder of the compiled service to measure. Only the chapter `cluster` uses it. Default: our own. */
  dist?: string
}

/** Returns the middle value, or of two middle values the lower. */
export function median (values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted[Math.floor((sorted.length - 1) / 2)]
  if (middle === undefined) throw new Error('An empty list has no median')
  return middle
}

/** Returns the value of a sorted list below which this share of the values lies. */
export function percentile (sorted: readonly number[], share: number): number {
  return sorted[Math.min(Math.floor(sorted.length * share), sorted.length - 1)] ?? NaN
}

/** Formats the median and the spread: `12.3 (11.9 to 14.0)`. */
export function spread (values: readonly number[], digits = 0): string {
  const [middle, least, most] = [median(values), Math.min(...values), Math.max(...values)].map(value =>
    value.toFixed(digits)
  )
  return `${middle} (${least} to ${most})`
}

/** Computes the ratio of each round. Ratios across rounds would be wrong, because other work on the machine varies. */
export function ratiosOf<T> (runs: readonly T[], bases: readonly T[], read: (run: T) => number): number[] {
  return runs.map((run, round) => {
    const base = bases[round]
    return base === undefined ? NaN : read(run) / read(base)
  })
}

/** Formats a section for a terminal. */
export function toText ({ title, columns, rows, verdicts, notes }: Section): string {
  const lines = [['', ...columns], ...rows.map(({ name, cells }) => [name, ...cells])]
  const widths = lines[0]?.map((_, column) => Math.max(...lines.map(line => line[column]?.length ?? 0))) ?? []
  return [
    title,
    '',
    ...lines.map(line =>
      line
        .map((cell, column) => (column === 0 ? cell.padEnd(widths[0] ?? 0) : cell.padStart(widths[column] ?? 0)))
        .join('  ')
    ),
    '',
    ...verdicts.map(({ target, measured, met }) => `${met ? 'met   ' : 'missed'}  ${target}: ${measured}`),
    '',
    ...notes
  ].join('\n')
}
