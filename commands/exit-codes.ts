/** What the exit code of the command line says: scripts switch on it. */
export const EXIT_CODES = {
  done: 0,
  failed: 1,
  usage: 2,
  notFound: 3,
  unavailable: 4
} as const

export type ExitCode = typeof EXIT_CODES[keyof typeof EXIT_CODES]

/** What each of them means, for `latchkey --help` and the table in docs/reference. */
export const MEANINGS: Record<ExitCode, string> = {
  0: 'done',
  1: 'refused or failed: standard error says why',
  2: 'used wrongly: unknown verb or option, missing or malformed argument',
  3: 'there is no such user, session, client or key',
  4: 'the database is not available: try again'
}

/** The table for `latchkey --help`. */
export function describeExitCodes (): string {
  return ['Exit codes:', ...Object.entries(MEANINGS).map(([code, meaning]) => `  ${code}  ${meaning}`)].join('\n')
}
