import { Readable } from 'node:stream'

// A process that runs the command line again and again: see `run` in support.ts. What a start of Node.js costs, and
// what the verbs load, is paid once; each run evaluates cli.js anew, from the arguments to the exit code.

/** One run. */
export interface Task {
  id: number
  directory: string
  args: string[]
  env: Record<string, string | undefined>
  input: Uint8Array
}

/** How it ended. */
export interface Answer {
  id: number
  code: number
  stdout: string
  stderr: string
}

process.on('message', (task: Task) => { queue = queue.then(() => perform(task)) })
let queue = Promise.resolve()

// Each run listens anew.
process.stdout.setMaxListeners(0)

async function perform ({ id, directory, args, env, input }: Task): Promise<void> {
  process.chdir(directory)
  for (const name of Object.keys(process.env)) delete process.env[name]
  for (const [name, value] of Object.entries(env)) if (value !== undefined) process.env[name] = value
  process.argv = [...process.argv.slice(0, 2), ...args]
  process.exitCode = 0
  Object.defineProperty(
    process,
    'stdin',
    { configurable: true, value: Readable.from(input.length === 0 ? [] : [Buffer.from(input)], { objectMode: false }) }
  )
  const said = { stdout: listen(process.stdout), stderr: listen(process.stderr) }
  try {
    await import(`../../cli.js?${id}`)
  } finally {
    const answer: Answer = { id, code: process.exitCode, stdout: said.stdout(), stderr: said.stderr() }
    process.exitCode = 0
    process.send?.(answer)
  }
}

/** Keeps what is written to a stream; the function that it returns gives it, and the stream back. */
function listen (stream: NodeJS.WriteStream): () => string {
  const chunks: Buffer[] = []
  const write = stream.write
  stream.write = (chunk: string | Uint8Array, encoding?: unknown, done?: () => void): boolean => {
    chunks.push(Buffer.from(chunk as string))
    const callback = typeof encoding === 'function' ? encoding as () => void : done
    if (callback !== undefined) process.nextTick(callback)
    return true
  }
  return () => {
    stream.write = write
    return Buffer.concat(chunks).toString()
  }
}
