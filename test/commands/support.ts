import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import type { Answer, Task } from './host.js'

/** The compiled command line. */
export const CLI = fileURLToPath(new URL('../../cli.js', import.meta.url))

/** How a run of the command line ended, and what it said. */
export interface Outcome {
  code: number | null
  stdout: string
  stderr: string
}

/**
 * How a child is started without the hooks of the test runner, which triple the time that a process takes to start and
 * come back with every spawn whatever its environment: `env` takes them away again, and becomes the process.
 */
export const NODE = ['env', '-u', 'NODE_OPTIONS', process.execPath] as const

/** The environment of a child: without what is ours, and without proxies, which curl would ask. */
export function environment (env: Record<string, string> = {}): Record<string, string | undefined> {
  const clean = Object.entries(process.env).filter((
    [name]
  ) => !/^(LATCHKEY_.*|HOST|PORT|NODE_V8_COVERAGE|_TAPJS_.*|.*_proxy)$/i.test(name))
  return { ...Object.fromEntries(clean), LATCHKEY_BCRYPT_COST: '4', PORT: '0', ...env }
}

/** What a run is given: variables of ours, and standard input, which is no terminal. */
export interface Given {
  env?: Record<string, string>
  input?: string | Buffer
}

/**
 * Starts the command line as a process of its own, in `directory`, to its end, with nothing of ours in its environment
 * but `env`.
 */
export async function start (
  directory: string, args: string[], { env = {}, input = '' }: Given = {}
): Promise<Outcome> {
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

let host: ChildProcess | undefined
let runs = 0

/**
 * Runs the command line as `start` does, in a process that all runs of a test file share and that is not this one: a
 * start costs a second, and what it proves beyond this, test/cli.test.ts proves once.
 */
export async function run (directory: string, args: string[], { env = {}, input = '' }: Given = {}): Promise<Outcome> {
  const process = host ??= startHost()
  const task: Task = { id: ++runs, directory, args, env: environment(env), input: Buffer.from(input) }
  return await new Promise((resolve, reject) => {
    function settle (answer: Answer): void {
      if (answer.id !== task.id) return
      process.off('message', settle).off('exit', fail)
      resolve(answer)
    }
    function fail (code: number | null): void {
      reject(new Error(`The host of the command line ended with ${code}`))
    }
    process.on('message', settle).on('exit', fail)
    process.send(task)
  })
}

function startHost (): ChildProcess {
  const child = spawn(
    NODE[0], [...NODE.slice(1), fileURLToPath(new URL('./host.js', import.meta.url))],
    { stdio: ['ignore', 'inherit', 'inherit', 'ipc'], serialization: 'advanced', env: environment() }
  )
  child.setMaxListeners(0)
  t.teardown(() => child.kill())
  return child
}
