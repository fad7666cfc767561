import { styleText } from 'node:util'

/** Somewhere that is written to, which may be a terminal. */
export type Output = Pick<NodeJS.WriteStream, 'write' | 'isTTY'> & Partial<Pick<NodeJS.WriteStream, 'hasColors'>>

/** Colours on a terminal that has them: a file or a pipe gets plain text, and so does whoever sets NO_COLOR (https://no-color.org), which `hasColors` knows of. Node.js itself would look at standard output only. */
export function paint (output: Output, style: Parameters<typeof styleText>[0], text: string): string {
  return output.isTTY && output.hasColors?.() === true ? styleText(style, text, { validateStream: false }) : text
}

/** Without the characters that would move somebody's terminal, or turn its text around. */
export function printable (text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, '?')
}
