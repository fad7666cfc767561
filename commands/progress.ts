import { paint } from './terminal.js'
import type { Output } from './terminal.js'

/** How often the bar of a terminal is drawn, and how often a line is written elsewhere, in milliseconds. */
const REDRAW = 100
const LINE_EVERY = 10_000

const BAR_WIDTH = 24

/** Says how far something long has come. */
export interface Progress {
  /**
   * Says it, where that is due.
   * @param rows - how many are done.
   * @param part - how much of the whole that is, 0 to 1; undefined where nobody knows.
   */
  report (rows: number, part: number | undefined): void
  /** Writes a line of something else, above the bar where there is one. */
  say (line: string): void
  /** Takes the bar away. */
  end (): void
}

/**
 * A bar with rate and time left on a terminal, else a plain line every ten seconds.
 * @param output - standard error, where people look and scripts do not.
 * @param now - milliseconds.
 * @param options - `isQuiet`: only what `say` says, for programs. Default: false.
 */
export function createProgress (output: Output, now: () => number, { isQuiet = false }: { isQuiet?: boolean } = {}): Progress {
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
  const said = [`${count(rows)} rows`]
  if (part !== undefined) said.push(`${Math.floor(part * 100)} %`)
  if (elapsed > 0) said.push(`${count(rows / elapsed * 1_000)} rows/s`)
  if (part !== undefined && part > 0) said.push(`${clockTime(elapsed / part - elapsed)} left`)
  return said.join(', ')
}

/** A whole number as people read it: 45,000. */
export function count (number: number): string {
  return Math.round(number).toLocaleString('en-US')
}

/** Milliseconds as minutes and seconds, with the hours where there are any. */
function clockTime (milliseconds: number): string {
  const seconds = Math.max(0, Math.ceil(milliseconds / 1_000))
  const [hours, minutes, rest] = [Math.floor(seconds / 3_600), Math.floor(seconds / 60) % 60, String(seconds % 60).padStart(2, '0')]
  return hours === 0 ? `${minutes}:${rest}` : `${hours}:${String(minutes).padStart(2, '0')}:${rest}`
}
