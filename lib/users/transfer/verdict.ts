import type { Selectable } from 'kysely'
import type { UsersTable } from '../../store/tables.js'
import type { AccountChange } from '../change.js'
import type { NewAccount } from '../rows.js'
import { lowerFirst } from './candidate.js'
import type { Candidate } from './candidate.js'

/** The decision about a row. */
type Verdict =
  { status: 'unchanged' | 'kept' } |
  { status: 'added', account: NewAccount } |
  { status: 'updated', change: AccountChange } |
  { status: 'refused', reason: string }

const CHANGED_MEANWHILE = 'the account was changed during the import: import the row again'

/** What the verdict depends on, besides the row and its account. */
interface Circumstances {
  /** The account that has the id of the row. */
  owner?: Selectable<UsersTable>
  /** The line of an earlier row of the file for the same user. */
  earlier?: number
  /** `ImportOptions.update`. */
  update?: boolean
  /** Milliseconds. */
  now: number
}

/** Decides what to do with a row, as of one transaction. `account` is the account that has the username of the row. */
export function judge (
  row: Candidate, account: Selectable<UsersTable> | undefined, { owner, earlier, update, now }: Circumstances
): Verdict {
  if (row.createdAt !== undefined && row.createdAt > now) {
    return { status: 'refused', reason: 'its created_at is in the future' }
  }
  if (earlier !== undefined && (account ?? owner) !== undefined) {
    return { status: 'refused', reason: `it is for the user of line ${earlier}` }
  }
  if (account === undefined) {
    if (owner !== undefined && update === true) return judgeRenamed(row, owner)
    return judgeNew(row, { isIdTaken: owner !== undefined || earlier !== undefined })
  }
  const hasOtherId = row.id !== undefined && row.id !== account.id
  const change = changeOf(row, account)
  if (update === true && isOutdated(row, account)) return { status: 'refused', reason: CHANGED_MEANWHILE }
  if (change === undefined && !hasOtherId) return { status: 'unchanged' }
  if (update !== true) return { status: 'kept' }
  if (hasOtherId) return { status: 'refused', reason: 'its username exists under another id, and ids never change' }
  return { status: 'updated', change: change ?? {} }
}

/** Whether the stored hash is not the one that the plain password of the row was compared with. */
function isOutdated ({ password, passwordHash, matches }: Candidate, account: Selectable<UsersTable>): boolean {
  return password !== undefined && passwordHash === undefined && matches !== account.password_hash
}

function judgeRenamed (row: Candidate, account: Selectable<UsersTable>): Verdict {
  if (row.nameProblem !== undefined) return { status: 'refused', reason: lowerFirst(row.nameProblem) }
  if (isOutdated(row, account)) return { status: 'refused', reason: CHANGED_MEANWHILE }
  return { status: 'updated', change: { ...changeOf(row, account), name: { username: row.username, key: row.key } } }
}

function judgeNew (row: Candidate, { isIdTaken }: { isIdTaken: boolean }): Verdict {
  const { nameProblem, password, passwordHash } = row
  if (nameProblem !== undefined) return { status: 'refused', reason: lowerFirst(nameProblem) }
  if (isIdTaken) return { status: 'refused', reason: 'its id belongs to another user' }
  if (passwordHash !== undefined) return { status: 'added', account: { ...row, passwordHash } }
  const needed = 'it has neither password_hash nor password: a new user needs one of them'
  return { status: 'refused', reason: password === undefined ? needed : CHANGED_MEANWHILE }
}

function changeOf (row: Candidate, account: Selectable<UsersTable>): AccountChange | undefined {
  const change: AccountChange = {}
  if (row.scope !== undefined && row.scope !== account.scope) change.scope = row.scope
  if (row.roles !== undefined && row.roles !== account.roles) change.roles = row.roles
  if (row.disabled !== undefined && row.disabled !== (account.disabled_at !== null)) change.disabled = row.disabled
  if (row.passwordHash !== undefined && row.passwordHash !== account.password_hash) {
    change.passwordHash = row.passwordHash
  }
  return Object.keys(change).length === 0 ? undefined : change
}
