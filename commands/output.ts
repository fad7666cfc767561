import { InvalidArgumentError } from 'commander'
import { paint } from './terminal.js'

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

/** The example under the help of a verb. */
export function example (...lines: string[]): string {
  return ['', 'Example:', ...lines.map(line => `  $ ${line}`)].join('\n')
}

/** The value of an option that counts. */
export function parseCount (text: string): number {
  if (/^[1-9]\d{0,8}$/.test(text)) return Number(text)
  throw new InvalidArgumentError('It must be a whole number from 1')
}
