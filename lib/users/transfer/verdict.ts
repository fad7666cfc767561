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
  /** The `username_key` of the account that has an id, by id. */
  owners: ReadonlyMap<string, string>
  /** `ImportOptions.update`. */
  update?: boolean
  /** Milliseconds. */
  now: number
}

/** Decides what to do with a row, as of one transaction. `account` is the account that has the username of the row. */
export function judge (
  row: Candidate, account: Selectable<UsersTable> | undefined, { owners, update, now }: Circumstances
): Verdict {
  if (row.createdAt !== undefined && row.createdAt > now) {
    return { status: 'refused', reason: 'its created_at is in the future' }
  }
  if (account === undefined) return judgeNew(row, owners)
  const isRenamed = row.id !== undefined && row.id !== account.id
  const change = changeOf(row, account)
  if (
    update === true &&
    row.password !== undefined &&
    row.passwordHash === undefined &&
    row.matches !== account.password_hash
  ) { return { status: 'refused', reason: CHANGED_MEANWHILE } }
  if (change === undefined && !isRenamed) return { status: 'unchanged' }
  if (update !== true) return { status: 'kept' }
  if (isRenamed) return { status: 'refused', reason: 'its username exists under another id, and ids never change' }
  return { status: 'updated', change: change ?? {} }
}

function judgeNew (row: Candidate, owners: ReadonlyMap<string, string>): Verdict {
  const { id, nameProblem, password, passwordHash } = row
  if (nameProblem !== undefined) return { status: 'refused', reason: lowerFirst(nameProblem) }
  if (id !== undefined && owners.has(id)) return { status: 'refused', reason: 'its id belongs to another user' }
  if (passwordHash !== undefined) return { status: 'added', account: { ...row, passwordHash } }
  const needed = 'it has neither password_hash nor password: a new user needs one of them'
  return { status: 'refused', reason: password === undefined ? needed : CHANGED_MEANWHILE }
}

function changeOf (row: Candidate, account: Selectable<UsersTable>): AccountChange | undefined {
  const change: AccountChange = {}
  if (row.scope !== undefined && row.scope !== account.scope) change.scope = row.scope
  if (row.disabled !== undefined && row.disabled !== (account.disabled_at !== null)) change.disabled = row.disabled
  if (row.passwordHash !== undefined && row.passwordHash !== account.password_hash) {
    change.passwordHash = row.passwordHash
  }
  return Object.keys(change).length === 0 ? undefined : change
}
