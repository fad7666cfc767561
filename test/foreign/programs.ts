import { execFile } from 'node:child_process'
import { promisify } from 'node:util'

interface Outcome { code: number, output: string }

/**
 * Runs a program of node_modules, or a file; never throws. Coverage of the child would be coverage of the unpacked
 * copy.
 */
export async function runNode (file: string, args: string[], cwd: string): Promise<Outcome> {
  const { NODE_V8_COVERAGE: _coverage, NODE_OPTIONS: _options, ...env } = process.env
  try {
    const { stdout, stderr } = await promisify(execFile)(process.execPath, [file, ...args], {
      cwd, env: { ...env, NO_COLOR: '1' }
    })
    return { code: 0, output: stdout + stderr }
  } catch (error) {
    const { code, stdout, stderr } = error as { code: number, stdout: string, stderr: string }
    return { code, output: stdout + stderr }
  }
}
