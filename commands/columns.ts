import stringWidth from 'string-width'
import { paint, printable } from './terminal.js'

/** Aligns columns under their headings. It counts characters that are two columns wide, or none. */
export function toColumns (heads: string[], rows: string[][]): string {
  const lines = [heads, ...rows.map(row => row.map(printable))]
  const sizes = lines.map(line => line.map(cell => stringWidth(cell)))
  const widths = heads.map((_head, column) => sizes.reduce((most, line) => Math.max(most, line[column] ?? 0), 0))
  const [head = '', ...others] = lines.map((line, row) =>
    line
      .map((cell, column) => cell + ' '.repeat((widths[column] ?? 0) - (sizes[row]?.[column] ?? 0)))
      .join('  ')
      .trimEnd()
  )
  return [paint(process.stdout, 'bold', head), ...others].join('\n')
}
