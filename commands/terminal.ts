import { styleText } from 'node:util'

/** An output stream, which may be a terminal. */
export type Output = Pick<NodeJS.WriteStream, 'write' | 'isTTY'> & Partial<Pick<NodeJS.WriteStream, 'hasColors'>>

/**
 * Colours text on a terminal that supports it. Files and pipes get plain text, and so does a terminal with NO_COLOR
 * (https://no-color.org), which `hasColors` respects. `styleText` itself would check standard output only.
 */
export function paint (output: Output, style: Parameters<typeof styleText>[0], text: string): string {
  return output.isTTY && output.hasColors?.() === true ? styleText(style, text, { validateStream: false }) : text
}

/** Replaces characters that would control a terminal or reverse its text. */
export function printable (text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, '?')
}

/** Joins the lines of a text. */
export function oneLine (text: string): string {
  return text.split('\n').map(line => line.trim()).filter(line => line !== '').join(' ')
}
