import { InvalidArgumentError } from 'commander'
import stringWidth from 'string-width'
import { paint, printable } from './terminal.js'

/** What every verb that prints data takes. */
export interface OutputOptions {
  json?: boolean
}

/** Whether errors and warnings are to be JSON too. From the arguments as they came: they may be what is wrong. */
export function wantsJson (): boolean {
  return process.argv.includes('--json')
}

/** Prints what a verb found or did: one JSON document, or text for people. */
export function print ({ json }: OutputOptions, { data, text }: { data: unknown, text: string }): void {
  process.stdout.write(json === true ? `${JSON.stringify(data, null, 2)}\n` : `${text}\n`)
}

/** Says on standard error what is odd, and does not keep a verb from its work. */
export function warn (code: string, message: string): void {
  process.stderr.write(wantsJson() ? `${JSON.stringify({ warning: code, message })}\n` : `latchkey: ${paint(process.stderr, 'yellow', 'warning:')} ${message}\n`)
}

/** Aligned columns under their heads, also where a character takes two places or none. */
export function toColumns (heads: string[], rows: string[][]): string {
  const lines = [heads, ...rows.map(row => row.map(printable))]
  const sizes = lines.map(line => line.map(cell => stringWidth(cell)))
  const widths = heads.map((_head, column) => sizes.reduce((most, line) => Math.max(most, line[column] ?? 0), 0))
  const [head = '', ...others] = lines.map((line, row) => line.map((cell, column) => cell + ' '.repeat((widths[column] ?? 0) - (sizes[row]?.[column] ?? 0))).join('  ').trimEnd())
  return [paint(process.stdout, 'bold', head), ...others].join('\n')
}

/** The example under the help of a verb. */
export function example (...lines: string[]): string {
  return ['', 'Example:', ...lines.map(line => `  $ ${line}`)].join('\n')
}

/** The value of an option that counts. */
export function parseCount (text: string): number {
  if (/^[1-9]\d{0,8}$/.test(text)) return Number(text)
  throw new InvalidArgumentError('It must be a whole number from 1')
}
