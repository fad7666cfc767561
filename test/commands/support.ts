import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'

/** The compiled command line. */
export const CLI = fileURLToPath(new URL('../../cli.js', import.meta.url))

/** How a run of the command line ended, and what it said. */
export interface Outcome {
  code: number | null
  stdout: string
  stderr: string
}

/**
 * How a child is started without the hooks of the test runner, which triple the time that a process takes to start and come back
 * with every spawn whatever its environment: `env` takes them away again, and becomes the process.
 */
export const NODE = ['env', '-u', 'NODE_OPTIONS', process.execPath] as const

/** The environment of a child: without what is ours, and without proxies, which curl would ask. */
export function environment (env: Record<string, string> = {}): Record<string, string | undefined> {
  const clean = Object.entries(process.env).filter(([name]) => !/^(LATCHKEY_.*|HOST|PORT|NODE_V8_COVERAGE|_TAPJS_.*|.*_proxy)$/i.test(name))
  return { ...Object.fromEntries(clean), LATCHKEY_BCRYPT_COST: '4', PORT: '0', ...env }
}

/** Runs the command line in `directory` to its end, with nothing of ours in its environment but `env`. */
export async function run (directory: string, args: string[], { env = {}, input = '' }: { env?: Record<string, string>, input?: string | Buffer } = {}): Promise<Outcome> {
  const child = spawn(NODE[0], [...NODE.slice(1), CLI, ...args], { cwd: directory, env: environment(env) })
  const outcome: Outcome = { code: null, stdout: '', stderr: '' }
  child.stdout.on('data', chunk => { outcome.stdout += chunk })
  child.stderr.on('data', chunk => { outcome.stderr += chunk })
  child.stdin.on('error', () => {}) // It may end before it has read.
  child.stdin.end(input)
  return await new Promise((resolve, reject) => {
    child.on('error', reject)
    child.on('close', code => resolve({ ...outcome, code }))
  })
}
