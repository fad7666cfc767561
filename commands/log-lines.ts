import { paint, printable } from './terminal.js'
import type { Output } from './terminal.js'

/** The names and colours of the levels of pino. */
const LEVELS: Record<number, [name: string, style: Parameters<typeof paint>[1]]> = {
  10: ['TRACE', 'gray'],
  20: ['DEBUG', 'gray'],
  30: ['INFO', 'green'],
  40: ['WARN', 'yellow'],
  50: ['ERROR', 'red'],
  60: ['FATAL', 'red']
}

/** Members that every line has, that only programs need, or that the line shows elsewhere. */
const HIDDEN = new Set(['level', 'time', 'pid', 'hostname', 'msg', 'err', 'event.type', 'event.outcome', 'event.at'])

/** Creates a destination for a log that people read. It turns each line of JSON into a line of text. */
export function createLogLines (output: Output): { write (line: string): void } {
  return {
    write (line) {
      output.write(`${toText(output, JSON.parse(line) as Record<string, unknown>)}\n`)
    }
  }
}

/**
 * Creates a destination for what a command must report about the database server and the clock. Each warning is one
 * line, without a stack. Damaged rows are shown by the commands that list them.
 */
export function createWarningLines (output: Output): { write (line: string): void } {
  return {
    write (line) {
      const { msg, err } = JSON.parse(line) as { msg?: unknown, err?: { message?: unknown } }
      if (err === undefined) return
      output.write(`latchkey: warning: ${printable(textOf(err.message))}; ${printable(textOf(msg))}\n`)
    }
  }
}

function toText (output: Output, entry: Record<string, unknown>): string {
  const { level, time, msg, err } = entry
  const [name, style] = (typeof level === 'number' ? LEVELS[level] : undefined) ?? [printable(textOf(level)), 'gray']
  const words = [
    paint(output, 'gray', new Date(typeof time === 'number' ? time : NaN).toTimeString().slice(0, 8)),
    paint(output, style, name.padEnd(5)),
    printable(typeof msg === 'string' ? msg : ''),
    ...pairsOf(entry).map(([path, value]) => paint(output, 'gray', printable(`${quote(path)}=${value}`)))
  ]
  return [words.join(' '), ...stackOf(err)].join('\n')
}

/** Returns the members as text, quoted if needed, with the path of each. It leaves out null and undefined. */
function pairsOf (entry: object, parent = ''): Array<[path: string, value: string]> {
  return Object.entries(entry).flatMap(([name, value]: [string, unknown]): Array<[string, string]> => {
    const path = parent + name
    if (HIDDEN.has(path) || value === null || value === undefined) return []
    const shown = path.replace(/^(req|event\.details|event)\./, '')
    if (Array.isArray(value)) return [[shown, value.map(member => quote(textOf(member))).join(',')]]
    return typeof value === 'object' ? pairsOf(value, `${path}.`) : [[shown, quote(textOf(value))]]
  })
}

/** `String()` would call a `toString` of the value, which may be anything. */
function textOf (value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value) ?? ''
}

/** Quotes text that would read like several members. */
function quote (text: string): string {
  return /[\s="]/.test(text) ? JSON.stringify(text) : text
}

function stackOf (error: unknown): string[] {
  if (typeof error !== 'object' || error === null) return []
  const { stack, message } = error as { stack?: unknown, message?: unknown }
  return textOf(stack ?? message).split('\n').map(line => `    ${printable(line.trim())}`)
}
