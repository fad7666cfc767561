import type { UserRecord } from '../../../schemas/users.js'
import { LatchkeyError } from '../../errors.js'
import { findUsernameProblem, formOf, keyOf } from '../../identity/usernames.js'
import { parseDateTime } from '../../time/date-time.js'
import type { UsersContext } from '../context.js'
import { assertAcceptable } from '../new-password.js'
import { toScope } from '../rows.js'
import { checkRecord } from './record.js'

/** A row of a file. */
export interface ImportRow {
  /** Where in the file it begins, from 1. */
  line: number
  /** What should be a `UserRecord`. */
  value: unknown
}

/** A row that may be taken. */
export interface Candidate {
  line: number
  username: string
  /** Why no new account may have this username. */
  nameProblem?: string
  key: string
  id?: string
  scope?: string
  disabled?: boolean
  createdAt?: number
  /** As typed: still to be hashed, or to be compared. */
  password?: string
  passwordHash?: string
  /** The hash in the store that `password` was found to belong to. */
  matches?: string
}

export async function readCandidate (context: UsersContext, { line, value }: ImportRow): Promise<Candidate | string> {
  const problem = checkRecord(value)
  if (problem !== undefined) return problem
  const { username, id, scopes, disabled, created_at: createdAt, password, password_hash: passwordHash } = value as UserRecord
  try {
    if (password !== undefined) await assertAcceptable(context, { password, username })
    return {
      line,
      username: formOf(username),
      nameProblem: findUsernameProblem(username),
      key: keyOf(username),
      id,
      scope: scopes === undefined ? undefined : toScope(scopes, context.catalogue),
      disabled,
      createdAt: createdAt === undefined ? undefined : parseDateTime(createdAt),
      password,
      passwordHash
    }
  } catch (error) {
    if (!(error instanceof LatchkeyError)) throw error
    return error.code === 'password_rejected' ? `its password was rejected: ${lowerFirst(error.message)}` : lowerFirst(error.message)
  }
}

/** Makes the second half of a sentence of a sentence. */
export function lowerFirst (sentence: string): string {
  return sentence.replace(/^(It|A|The|Unknown)\b/, word => word.toLowerCase()).replace(/\.$/, '')
}
