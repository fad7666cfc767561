import type { UserRecord } from '../../../schemas/users.js'
import { LatchkeyError } from '../../errors.js'
import { findUsernameProblem, formOf, keyOf } from '../../identity/usernames.js'
import { parseDateTime } from '../../time/date-time.js'
import type { UsersContext } from '../context.js'
import { assertAcceptable } from '../new-password.js'
import { toRoles, toScope } from '../rows.js'
import { checkRecord } from './record.js'

/** A row of a file. */
export interface ImportRow {
  /** The line of the file in which it begins, from 1. */
  line: number
  /** Should be a `UserRecord`, but is not checked yet. */
  value: unknown
}

/** A row that may be imported. */
export interface Candidate {
  line: number
  username: string
  /** Why a new account cannot have this username. */
  nameProblem?: string
  key: string
  id?: string
  scope?: string
  roles?: string
  disabled?: boolean
  createdAt?: number
  /** The password in plain text, to be hashed or compared with the stored hash. */
  password?: string
  passwordHash?: string
  /** The stored hash that `password` belongs to. */
  matches?: string
}

/** Returns the candidate of a row, or the reason why the row is refused. */
export async function readCandidate (context: UsersContext, { line, value }: ImportRow): Promise<Candidate | string> {
  const problem = checkRecord(value)
  if (problem !== undefined) return problem
  const {
    username,
    id,
    scopes,
    roles,
    disabled,
    created_at: createdAt,
    password,
    password_hash: passwordHash
  } = value as UserRecord
  try {
    if (password !== undefined) await assertAcceptable(context, { password, username })
    return {
      line,
      username: formOf(username),
      nameProblem: findUsernameProblem(username),
      key: keyOf(username),
      id,
      scope: scopes === undefined ? undefined : toScope(scopes, context.catalogue),
      roles: roles === undefined ? undefined : toRoles(roles, context.roles),
      disabled,
      createdAt: createdAt === undefined ? undefined : parseDateTime(createdAt),
      password,
      passwordHash
    }
  } catch (error) {
    if (!(error instanceof LatchkeyError)) throw error
    return error.code === 'password_rejected'
      ? `its password was rejected: ${lowerFirst(error.message)}`
      : lowerFirst(error.message)
  }
}

/** Turns a sentence into a clause that can follow `line 3: `. */
export function lowerFirst (sentence: string): string {
  return sentence.replace(/^(It|A|The|Unknown)\b/, word => word.toLowerCase()).replace(/\.$/, '')
}
