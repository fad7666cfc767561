import type { Selectable } from 'kysely'
import type { Actor } from '../../../schemas/events.js'
import type { UserRecord } from '../../../schemas/users.js'
import { parseDateTime } from '../../time/date-time.js'
import { LatchkeyError } from '../../errors.js'
import { HOST } from '../../ledger/events.js'
import { createId } from '../../identity/ids.js'
import type { Write } from '../../revocation/writing.js'
import { NOTHING_ENDED } from '../../revocation/session-ending.js'
import type { Progress, Step } from '../../revocation/session-ending.js'
import type { Queryable, UsersTable } from '../../store/tables.js'
import { describeAdded } from '../add.js'
import { changeRow, markOf, writeChange } from '../change.js'
import type { AccountChange } from '../change.js'
import type { UsersContext } from '../context.js'
import { assertAcceptable } from '../new-password.js'
import { toScope } from '../rows.js'
import { checkRecord } from './record.js'
import { findUsernameProblem, formOf, keyOf } from '../../identity/usernames.js'

/** How an import goes about its work. */
export interface ImportOptions {
  /** Whether an account that is there already becomes what its row says. Default: it is left as it is. */
  update?: boolean
  /** Whether to stop at the first row that is refused: those before it are taken, none after it. */
  strict?: boolean
  /** Whether to check only, and write nothing. */
  dryRun?: boolean
}

/** A row of a file. */
export interface ImportRow {
  /** Where in the file it begins, from 1. */
  line: number
  /** What should be a `UserRecord`. */
  value: unknown
}

/** What became of a row. `unchanged`: the account is there, and as the row says. `kept`: it is there, differs, and was left as it is. */
export interface RowOutcome {
  line: number
  status: 'added' | 'updated' | 'unchanged' | 'kept' | 'refused'
  /** Why it was refused: the second half of a sentence. Of what the row says at most a scope that there is not: the rest may be a password. */
  reason?: string
}

/**
 * The import of one file, piece by piece. Each call is one transaction, durable when its promise resolves, with its entries in the audit trail.
 * About a thousand rows at a time are best: nobody else writes meanwhile. Passwords that are yet to be hashed take their time before it.
 */
export type UserImport = (rows: readonly ImportRow[]) => Promise<RowOutcome[]>

/** A row that may be taken. */
interface Candidate {
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

type Verdict = { status: 'added' | 'unchanged' | 'kept' } | { status: 'updated', change: AccountChange } | { status: 'refused', reason: string }

/** How many passwords are hashed at a time; the queue of the threads holds more. */
const HASHED_AT_ONCE = 32

const IN_THE_SAME_MOMENT = 'the account was changed in the same moment: import the row again'

/** Makes `Users.startImport`. */
export function createUserImport (context: UsersContext) {
  const { store, clock, passwords, revocations, throttle, catalogue } = context

  async function toCandidate ({ line, value }: ImportRow): Promise<Candidate | string> {
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
        scope: scopes === undefined ? undefined : toScope(scopes, catalogue),
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

  /** Only where the hash will be needed: the row of an account that stays as it is costs nothing. */
  async function hashPasswords (candidates: Candidate[], { update, dryRun }: ImportOptions): Promise<void> {
    const waiting = candidates.filter(({ password }) => password !== undefined)
    if (waiting.length === 0) return
    const accounts = await store.read(db => findByKeys(db, waiting))
    async function hashOne (candidate: Candidate): Promise<void> {
      const { password = '', key } = candidate
      const account = accounts.get(key)
      if (account !== undefined) {
        if (update !== true) return
        if ((await passwords.verify(password, account.password_hash)).valid) {
          candidate.matches = account.password_hash
          return
        }
      }
      candidate.passwordHash = dryRun === true ? '' : await passwords.hash(password)
    }
    for (let start = 0; start < waiting.length; start += HASHED_AT_ONCE) {
      await Promise.all(waiting.slice(start, start + HASHED_AT_ONCE).map(hashOne))
    }
  }

  return function startImport (options: ImportOptions = {}, by: Actor = HOST): UserImport {
    /** The line of each username so far. */
    const seen = new Map<string, number>()

    async function read (rows: readonly ImportRow[]): Promise<Array<Candidate | RowOutcome>> {
      const found: Array<Candidate | RowOutcome> = []
      for (const row of rows) {
        const candidate = await toCandidate(row)
        const first = typeof candidate === 'string' ? undefined : seen.get(candidate.key)
        const reason = typeof candidate === 'string' ? candidate : first === undefined ? undefined : `its username is that of line ${first}; letter case does not matter`
        if (typeof candidate !== 'string' && reason === undefined) {
          seen.set(candidate.key, row.line)
          found.push(candidate)
          continue
        }
        found.push({ line: row.line, status: 'refused', reason })
        if (options.strict === true) break
      }
      return found
    }

    async function take (db: Queryable, read: ReadonlyArray<Candidate | RowOutcome>, now: number, write?: Write): Promise<RowOutcome[]> {
      const candidates = read.filter(isCandidate)
      const [accounts, owners] = [await findByKeys(db, candidates), await findOwners(db, candidates)]
      const outcomes: RowOutcome[] = []
      const added: UsersTable[] = []
      for (const row of read) {
        if (isCandidate(row)) {
          const account = accounts.get(row.key)
          const verdict = judge(row, account, owners, { update: options.update === true, now })
          outcomes.push({ line: row.line, status: verdict.status, reason: verdict.status === 'refused' ? verdict.reason : undefined })
          if (verdict.status === 'added') {
            const newRow = toRow(row, now)
            owners.set(newRow.id, row.key)
            added.push(newRow)
          } else if (verdict.status === 'updated' && account !== undefined && write !== undefined) {
            const changed = { before: account, after: changeRow(account, verdict.change, now), change: verdict.change }
            for (let progress: Progress | undefined = NOTHING_ENDED; progress !== undefined;) {
              const step: Step<unknown> = await writeChange({ ...write, progress }, changed, { throttle, by })
              progress = 'more' in step ? step.more : undefined
            }
          }
        } else {
          outcomes.push(row)
        }
        if (options.strict === true && outcomes.at(-1)?.status === 'refused') break
      }
      if (write !== undefined && added.length > 0) {
        await write.trx.insertInto('users').values(added).execute()
        await write.record(...added.map(row => describeAdded(row, by)))
      }
      return outcomes
    }

    return async function importRows (rows) {
      const found = await read(rows)
      await hashPasswords(found.filter(isCandidate), options)
      if (options.dryRun === true) return await store.read(db => take(db, found, clock.now()))
      return await revocations.write(write => take(write.trx, found, write.now, write))
    }
  }
}

function isCandidate (row: Candidate | RowOutcome): row is Candidate {
  return !('status' in row)
}

/** What is to become of a row, given the account of its name and who has its id, as of one transaction. */
function judge (row: Candidate, account: Selectable<UsersTable> | undefined, owners: ReadonlyMap<string, string>, { update, now }: { update: boolean, now: number }): Verdict {
  if (row.createdAt !== undefined && row.createdAt > now) return { status: 'refused', reason: 'its created_at lies in the future' }
  if (account === undefined) {
    if (row.nameProblem !== undefined) return { status: 'refused', reason: lowerFirst(row.nameProblem) }
    if (row.id !== undefined && owners.has(row.id)) return { status: 'refused', reason: 'its id is that of another user' }
    if (row.passwordHash !== undefined) return { status: 'added' }
    return { status: 'refused', reason: row.password === undefined ? 'it has neither password_hash nor password, which a new user needs' : IN_THE_SAME_MOMENT }
  }
  const isRenamed = row.id !== undefined && row.id !== account.id
  const change = changeOf(row, account)
  if (update && row.password !== undefined && row.passwordHash === undefined && row.matches !== account.password_hash) return { status: 'refused', reason: IN_THE_SAME_MOMENT }
  if (change === undefined && !isRenamed) return { status: 'unchanged' }
  if (!update) return { status: 'kept' }
  if (isRenamed) return { status: 'refused', reason: 'its username is there under another id, and ids never change' }
  return { status: 'updated', change: change ?? {} }
}

function changeOf (row: Candidate, account: Selectable<UsersTable>): AccountChange | undefined {
  const change: AccountChange = {}
  if (row.scope !== undefined && row.scope !== account.scope) change.scope = row.scope
  if (row.disabled !== undefined && row.disabled !== (account.disabled_at !== null)) change.disabled = row.disabled
  if (row.passwordHash !== undefined && row.passwordHash !== account.password_hash) change.passwordHash = row.passwordHash
  return Object.keys(change).length === 0 ? undefined : change
}

function toRow ({ id, username, key, passwordHash = '', scope = '', disabled = false, createdAt }: Candidate, now: number): UsersTable {
  const state = { scope, disabled_at: disabled ? now : null }
  return {
    id: id ?? createId(now),
    username,
    username_key: key,
    password_hash: passwordHash,
    password_changed_at: now,
    ...state,
    administrator: markOf(state),
    created_at: createdAt ?? now,
    updated_at: now
  }
}

async function findByKeys (db: Queryable, candidates: readonly Candidate[]): Promise<Map<string, Selectable<UsersTable>>> {
  if (candidates.length === 0) return new Map()
  const rows = await db.selectFrom('users').selectAll().where('username_key', 'in', candidates.map(({ key }) => key)).execute()
  return new Map(rows.map(row => [row.username_key, row]))
}

/** Who has the ids that the rows ask for. */
async function findOwners (db: Queryable, candidates: readonly Candidate[]): Promise<Map<string, string>> {
  const ids = candidates.flatMap(({ id }) => id ?? [])
  if (ids.length === 0) return new Map()
  const rows = await db.selectFrom('users').select(['id', 'username_key']).where('id', 'in', ids).execute()
  return new Map(rows.map(row => [row.id, row.username_key]))
}

function lowerFirst (sentence: string): string {
  return sentence.replace(/^(It|A|The|Unknown)\b/, word => word.toLowerCase()).replace(/\.$/, '')
}
