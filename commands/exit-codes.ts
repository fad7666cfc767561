/** The exit codes of the command line, which scripts depend on. */
export const EXIT_CODES = {
  done: 0,
  failed: 1,
  usage: 2,
  notFound: 3,
  unavailable: 4
} as const

export type ExitCode = typeof EXIT_CODES[keyof typeof EXIT_CODES]

/** Their meanings, for `latchkey --help` and the table in docs/reference. */
export const MEANINGS: Record<ExitCode, string> = {
  0: 'done',
  1: 'the command failed: standard error says why',
  2: 'incorrect usage: unknown command or option, missing or invalid argument',
  3: 'the user, session, client, key or token does not exist',
  4: 'the database is not available: try again'
}

/** The table for `latchkey --help`. */
export function describeExitCodes (): string {
  return ['Exit codes:', ...Object.entries(MEANINGS).map(([code, meaning]) => `  ${code}  ${meaning}`)].join('\n')
}
