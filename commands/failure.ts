import { debuglog } from 'node:util'
import { CommanderError } from 'commander'
import { LatchkeyError } from '../lib/errors.js'
import { KeyError } from '../lib/keys/import.js'
import { EXIT_CODES } from './exit-codes.js'
import type { ExitCode } from './exit-codes.js'
import { oneLine, paint } from './terminal.js'

/** How a command failed. */
export interface Failure {
  /** For programs. */
  code: string
  /** For people: what is wrong, and what to do. */
  message: string
  exitCode: ExitCode
}

/** Ends a command with a message and an exit code. */
export class CommandError extends Error implements Failure {
  override readonly name = 'CommandError'
  readonly code: string
  readonly exitCode: ExitCode

  constructor (
    code: string,
    message: string,
    { exitCode = EXIT_CODES.failed, cause }: { exitCode?: ExitCode, cause?: unknown } = {}
  ) {
    super(message, { cause })
    this.code = code
    this.exitCode = exitCode
  }
}

/** Prints a failure on standard error, as JSON if requested. `NODE_DEBUG=latchkey` also shows the stack. */
export function reportFailure ({ code, message }: Failure, error: unknown, { json }: { json: boolean }): void {
  debuglog('latchkey')('%o', error)
  process.stderr.write(
    json ? `${JSON.stringify({ error: code, message })}\n` : `${paint(process.stderr, 'red', 'latchkey:')} ${message}\n`
  )
}

/**
 * Converts an error that ended a command. Returns undefined if it is no failure: `--help` and `--version` end this way
 * too.
 */
export function toFailure (error: unknown): Failure | undefined {
  if (error instanceof CommandError) return error
  if (error instanceof CommanderError) return ofCommander(error)
  if (error instanceof LatchkeyError) return ofLatchkey(error)
  if (error instanceof KeyError) {
    return { code: error.code, message: oneLine(error.message), exitCode: EXIT_CODES.failed }
  }
  const message = oneLine(error instanceof Error ? error.message : String(error))
  if (error instanceof Error && error.cause instanceof LatchkeyError && error.cause.code === 'store_unavailable') {
    return { code: 'store_unavailable', message, exitCode: EXIT_CODES.unavailable }
  }
  const option = /^Latchkey: (.*)/.exec(message)?.[1]
  if (option !== undefined) return { code: 'invalid_option', message: option, exitCode: EXIT_CODES.failed }
  // Expected errors say what to do. For an error of Node.js, which has a code, only its stack can help.
  const hint = error instanceof Error && 'code' in error ? '; set NODE_DEBUG=latchkey to see where it happened' : ''
  return { code: 'failed', message: message + hint, exitCode: EXIT_CODES.failed }
}

function ofCommander ({ code, exitCode, message }: CommanderError): Failure | undefined {
  if (exitCode === 0) return undefined
  // A group without a command: Commander has printed its help, and has no message.
  const sentence = code === 'commander.help' ? 'the command is missing' : oneLine(message.replace(/^error: /, ''))
  return { code: 'usage', message: `${sentence}; see --help`, exitCode: EXIT_CODES.usage }
}

function ofLatchkey (error: LatchkeyError): Failure {
  const exitCode =
    error.statusCode === 404
      ? EXIT_CODES.notFound
      : error.statusCode === 503
        ? EXIT_CODES.unavailable
        : EXIT_CODES.failed
  return { code: error.code, message: oneLine(sentenceOf(error)), exitCode }
}

function sentenceOf ({ code, message, cause }: LatchkeyError): string {
  if (code === 'password_rejected') return `The password was rejected: ${adviseAnother(message.replace(/^It\b/, 'it'))}`
  if (code === 'username_taken') {
    return "This username is taken: choose another one. 'latchkey users list' lists all users"
  }
  // The person at the command line may see the cause, unlike the client of a request.
  if (code === 'store_unavailable' && cause instanceof Error) {
    return `The database is not available (${cause.message}): try again in a moment`
  }
  if (code === 'invalid_request') return `${message.replace(/\.$/, '')}: choose another one`
  if (code === 'not_found') return `${message.replace(/\.$/, '')} any more: it was removed at the same time`
  return message
}

/** Adds advice, unless the reason already contains some. */
function adviseAnother (reason: string): string {
  return reason.includes('Choose') ? reason : reason.replace(/\.$/, '; choose another one')
}
