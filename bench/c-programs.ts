import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

/** Returns the path of a source in bench/ that is not compiled to dist/. */
export const source = (name: string): string => fileURLToPath(new URL(`../../bench/${name}`, import.meta.url))

/** Compiles a C source of bench/. Returns its output, or undefined if that is not possible on this machine. */
export async function compile (
  name: string,
  { output, flags = [] }: { output: string, flags?: string[] }
): Promise<string | undefined> {
  if (process.platform !== 'linux') return undefined
  return await promisify(execFile)('cc', ['-O2', '-o', output, source(name), ...flags]).then(
    () => output,
    () => undefined
  )
}
