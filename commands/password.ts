import { once } from 'node:events'
import { setImmediate } from 'node:timers/promises'
import { TextDecoder } from 'node:util'
import { CommandError } from './failure.js'

/** Far longer than any password. It limits the memory that a wrong input can take. */
const MAX_INPUT_BYTES = 64 * 1024

/**
 * Reads a new password: typed twice and hidden at a terminal, otherwise the first line of standard input. Never an
 * argument.
 */
export async function readNewPassword (): Promise<string> {
  return process.stdin.isTTY ? await askTwice() : await readPassword()
}

async function askTwice (): Promise<string> {
  const password = await ask({ prompt: 'Password:', silent: true, replace: '*' })
  const again = await ask({ prompt: 'Repeat it:', silent: true, replace: '*' })
  if (password !== again) {
    throw new CommandError('passwords_differ', 'The two passwords differ: nothing was changed. Try again')
  }
  return password
}

/** Asks at the terminal. */
export async function ask (question: { prompt: string, silent?: boolean, replace?: string }): Promise<string> {
  const { read } = await import('read')
  // Not on standard output, which may be a file for the result. Always in terminal mode, otherwise typed text is
  // echoed.
  const output = process.stderr.isTTY ? process.stderr : process.stdout
  try {
    return await Promise.race([read({ ...question, output, terminal: true }), closed()])
  } catch (cause) {
    process.stderr.write('\n')
    throw new CommandError('canceled', 'Canceled: nothing was changed', { cause })
  }
}

/**
 * Rejects when the input ends, because `read` never settles after Ctrl-D. After an answer the input pauses too, but
 * `read` wins.
 */
async function closed (): Promise<never> {
  await once(process.stdin, 'pause')
  await setImmediate()
  throw new Error('The input ended')
}

async function readPassword (): Promise<string> {
  const line = await readLine()
  if (line === '') {
    throw new CommandError(
      'no_password',
      'There is no password on standard input: pipe one in, or run the command in a terminal'
    )
  }
  return line
}

/** Reads the first line of standard input. Empty if there is none. */
export async function readLine (): Promise<string> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of process.stdin as AsyncIterable<Buffer>) {
    chunks.push(chunk)
    size += chunk.length
    if (chunk.includes('\n') || size > MAX_INPUT_BYTES) break
  }
  return toText(Buffer.concat(chunks)).split('\n', 1)[0]?.replace(/\r$/, '') ?? ''
}

function toText (bytes: Buffer): string {
  const end = bytes.indexOf('\n')
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(
      end === -1 ? bytes : bytes.subarray(0, end)
    )
  } catch (cause) {
    throw new CommandError('invalid_input', 'Standard input is not valid UTF-8: convert it first', { cause })
  }
}
