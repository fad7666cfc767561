import { paint } from './terminal.js'
import type { Output } from './terminal.js'

/** How often the bar of a terminal is drawn, and how often a line is written elsewhere, in milliseconds. */
const REDRAW = 100
const LINE_EVERY = 10_000

const BAR_WIDTH = 24

/** Shows the progress of a long task. */
export interface Progress {
  /**
   * Shows the progress, if enough time has passed.
   * @param rows - how many are done.
   * @param part - the part of the whole, 0 to 1. Undefined if unknown.
   */
  report (rows: number, part: number | undefined): void
  /** Writes another line, above the bar if there is one. */
  say (line: string): void
  /** Removes the bar. */
  end (): void
}

/**
 * Shows a bar with the rate and the time left on a terminal, otherwise a plain line every ten seconds.
 * @param output - standard error, because scripts read standard output.
 * @param now - milliseconds.
 * @param options - `isQuiet`: show no progress, only the lines of `say`. Default: false.
 */
export function createProgress (
  output: Output,
  now: () => number,
  { isQuiet = false }: { isQuiet?: boolean } = {}
): Progress {
  const began = now()
  let last = output.isTTY ? -Infinity : began
  let isDrawn = false

  function clear (): void {
    if (isDrawn) output.write('\r\x1b[K')
    isDrawn = false
  }

  return {
    report (rows, part) {
      const time = now()
      if (isQuiet || time - last < (output.isTTY ? REDRAW : LINE_EVERY)) return
      last = time
      const text = describe(rows, part, time - began)
      if (!output.isTTY) {
        output.write(`latchkey: ${text}\n`)
        return
      }
      clear()
      output.write(part === undefined ? text : `${draw(output, part)} ${text}`)
      isDrawn = true
    },
    say (line) {
      clear()
      output.write(`${line}\n`)
    },
    end: clear
  }
}

function draw (output: Output, part: number): string {
  const done = Math.floor(Math.min(part, 1) * BAR_WIDTH)
  return `[${paint(output, 'green', '#'.repeat(done))}${'-'.repeat(BAR_WIDTH - done)}]`
}

/** `45,000 rows, 45 %, 8,200 rows/s, 0:07 left`. */
function describe (rows: number, part: number | undefined, elapsed: number): string {
  const parts = [`${count(rows)} rows`]
  if (part !== undefined) parts.push(`${Math.floor(part * 100)} %`)
  if (elapsed > 0) parts.push(`${count(rows / elapsed * 1_000)} rows/s`)
  if (part !== undefined && part > 0) parts.push(`${clockTime(elapsed / part - elapsed)} left`)
  return parts.join(', ')
}

/** Formats a whole number for people: 45,000. */
export function count (number: number): string {
  return Math.round(number).toLocaleString('en-US')
}

/** Formats milliseconds as minutes and seconds, with hours if there are any. */
function clockTime (milliseconds: number): string {
  const seconds = Math.max(0, Math.ceil(milliseconds / 1_000))
  const [hours, minutes, rest] = [
    Math.floor(seconds / 3_600),
    Math.floor(seconds / 60) % 60,
    String(seconds % 60).padStart(2, '0')
  ]
  return hours === 0 ? `${minutes}:${rest}` : `${hours}:${String(minutes).padStart(2, '0')}:${rest}`
}
