import { InvalidArgumentError } from 'commander'
import { paint } from './terminal.js'

/** The options of every command that prints data. */
export interface OutputOptions {
  json?: boolean
}

/** Whether errors and warnings should be JSON too. It reads the raw arguments, because they may be invalid. */
export function wantsJson (): boolean {
  return process.argv.includes('--json')
}

/** Prints the result of a command: one JSON document, or text for people. */
export function print ({ json }: OutputOptions, { data, text }: { data: unknown, text: string }): void {
  process.stdout.write(json === true ? `${JSON.stringify(data, null, 2)}\n` : `${text}\n`)
}

/** Prints a warning on standard error. The command continues. */
export function warn (code: string, message: string): void {
  process.stderr.write(
    wantsJson()
      ? `${JSON.stringify({ warning: code, message })}\n`
      : `latchkey: ${paint(process.stderr, 'yellow', 'warning:')} ${message}\n`
  )
}

/** The examples below the help of a command. */
export function example (...lines: string[]): string {
  return ['', 'Example:', ...lines.map(line => `  $ ${line}`)].join('\n')
}

/** Parses an option that is a count. */
export function parseCount (text: string): number {
  if (/^[1-9]\d{0,8}$/.test(text)) return Number(text)
  throw new InvalidArgumentError('It must be a whole number of at least 1')
}
