import type { Selectable } from 'kysely'
import type { Actor } from '../../../schemas/events.js'
import { HOST } from '../../ledger/events.js'
import { NOTHING_ENDED } from '../../revocation/session-ending.js'
import type { Progress, Step } from '../../revocation/session-ending.js'
import type { Write } from '../../revocation/writing.js'
import type { Queryable, UsersTable } from '../../store/tables.js'
import { describeAdded } from '../add.js'
import { changeRow, writeChange } from '../change.js'
import type { Changed } from '../change.js'
import type { UsersContext } from '../context.js'
import { createRow } from '../rows.js'
import { readCandidate } from './candidate.js'
import type { Candidate, ImportRow } from './candidate.js'
import { judge } from './verdict.js'
import { exclusive, ruling } from '../../store/lock.js'

export type { ImportRow } from './candidate.js'

/** The options of an import. */
export interface ImportOptions {
  /** Whether to change an existing account to match its row. Default: it stays as it is. */
  update?: boolean
  /** Whether to stop at the first refused row. The rows before it are imported, the rows after it are not. */
  strict?: boolean
  /** Whether to check the rows and write nothing. */
  dryRun?: boolean
}

/**
 * The outcome for one row. `unchanged`: the account exists and matches the row. `kept`: the account exists, differs,
 * and was left as it is.
 */
export interface RowOutcome {
  line: number
  status: 'added' | 'updated' | 'unchanged' | 'kept' | 'refused'
  /**
   * Why the row was refused, as a clause that can follow `line 3: `. It quotes nothing of the row except an unknown
   * scope or role, because the rest may be a password.
   */
  reason?: string
}

/**
 * Imports the next rows of a file. Each call is one transaction. When its promise resolves, the rows and their audit
 * events are durable. Pass about a thousand rows at a time, because no one else can write during the transaction.
 * Passwords are hashed before it begins.
 */
export type UserImport = (rows: readonly ImportRow[]) => Promise<RowOutcome[]>

/** The import of one file. */
interface ImportJob {
  context: UsersContext
  options: ImportOptions
  by: Actor
  /** The line of each username so far, by `Candidate.key`. */
  seen: Map<string, number>
  /** The line of each user so far, by id: both the ids in the rows and the ids of the accounts that they matched. */
  lines: Map<string, number>
}

/** One transaction of an import. Without `write` it only checks. */
interface ImportStep {
  db: Queryable
  now: number
  write?: Write
}

/** How many passwords are hashed at a time. The queue of the threads holds more. */
const HASHED_AT_ONCE = 32

/** Makes `Users.startImport`. */
export function createUserImport (context: UsersContext) {
  const { store, clock, revocations } = context

  return function startImport (options: ImportOptions = {}, by: Actor = HOST): UserImport {
    const job: ImportJob = { context, options, by, seen: new Map(), lines: new Map() }

    return async function importRows (rows) {
      const found = await readRows(job, rows)
      await hashPasswords(job, found.filter(isCandidate))
      if (options.dryRun === true) return await store.read(db => take(job, found, { db, now: clock.now() }))
      for (;;) {
        const locked = options.update === true ? await store.read(db => findIds(db, found)) : []
        const locks = [...locked.flatMap(ruling), exclusive('accounts')]
        const outcomes = await revocations.write(locks, async write => {
          // An account that was added in the meantime is not locked.
          const isLocked = options.update !== true ||
            (await findIds(write.trx, found)).every(id => locked.includes(id))
          return isLocked ? await take(job, found, { db: write.trx, now: write.now, write }) : undefined
        })
        if (outcomes !== undefined) return outcomes
      }
    }
  }
}

async function readRows (
  { context, options, seen }: ImportJob, rows: readonly ImportRow[]
): Promise<Array<Candidate | RowOutcome>> {
  const found: Array<Candidate | RowOutcome> = []
  for (const row of rows) {
    const candidate = await readCandidate(context, row)
    const reason = typeof candidate === 'string' ? candidate : describeRepeated(seen.get(candidate.key))
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

function describeRepeated (first: number | undefined): string | undefined {
  return first === undefined ? undefined : `it has the username of line ${first}; letter case does not matter`
}

function isCandidate (row: Candidate | RowOutcome): row is Candidate {
  return !('status' in row)
}

/** Hashes passwords only if the hash is needed, so the row of an account that stays as it is costs nothing. */
async function hashPasswords (
  { context: { store, passwords }, options: { update, dryRun } }: ImportJob, candidates: Candidate[]
): Promise<void> {
  const waiting = candidates.filter(({ password }) => password !== undefined)
  if (waiting.length === 0) return
  const accounts = await store.read(db => findAccounts(db, waiting))
  async function hashOne (candidate: Candidate): Promise<void> {
    const { password = '', key, id = '' } = candidate
    const account = accounts.byKey.get(key) ?? accounts.byId.get(id)
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

/** Imports rows in one transaction, or checks them if it cannot write. */
async function take (
  job: ImportJob, found: ReadonlyArray<Candidate | RowOutcome>, { db, now, write }: ImportStep
): Promise<RowOutcome[]> {
  const { by, lines, options: { update, strict } } = job
  const { byKey, byId } = await findAccounts(db, found.filter(isCandidate))
  const outcomes: RowOutcome[] = []
  const added: UsersTable[] = []
  for (const row of found) {
    if (isCandidate(row)) {
      const { id = '', line } = row
      const owner = byId.get(id)
      const named = byKey.get(row.key)
      const before = named ?? owner
      const ids = [before?.id, row.id].filter(known => known !== undefined)
      const earlier = ids.map(known => lines.get(known)).find(known => known !== undefined)
      const verdict = judge(row, named, { owner, earlier, update, now })
      if (verdict.status !== 'refused') for (const known of ids) lines.set(known, line)
      outcomes.push({ line, status: verdict.status, reason: verdict.status === 'refused' ? verdict.reason : undefined })
      if (verdict.status === 'added') {
        const newRow = createRow(verdict.account, now)
        added.push(newRow)
      } else if (verdict.status === 'updated' && before !== undefined) {
        const { change } = verdict
        const after = changeRow(before, change, now)
        if (write !== undefined) await writeWhole(job, write, { before, after, change })
        // A later row may use the name that a renamed account had.
        byKey.delete(before.username_key)
        byKey.set(after.username_key, after)
        byId.set(after.id, after)
      }
    } else {
      outcomes.push(row)
    }
    if (strict === true && outcomes.at(-1)?.status === 'refused') break
  }
  if (write !== undefined && added.length > 0) {
    await write.trx.insertInto('latchkey_users').values(added).execute()
    await write.record(...added.map(row => describeAdded(row, by)))
  }
  return outcomes
}

/** Writes the change of an account in one transaction, however many sessions end with it. */
async function writeWhole ({ context, by }: ImportJob, write: Write, changed: Changed): Promise<void> {
  for (let progress: Progress | undefined = NOTHING_ENDED; progress !== undefined;) {
    const step: Step<unknown> = await writeChange({ ...write, progress }, changed, { ...context, by })
    progress = 'more' in step ? step.more : undefined
  }
}

/** Returns the ids of the accounts that the rows may change. */
async function findIds (db: Queryable, found: ReadonlyArray<Candidate | RowOutcome>): Promise<string[]> {
  return [...(await findAccounts(db, found.filter(isCandidate))).byId.keys()]
}

/** Returns the accounts that have a username or an id of one of the rows. */
async function findAccounts (db: Queryable, candidates: readonly Candidate[]): Promise<{
  byKey: Map<string, Selectable<UsersTable>>
  byId: Map<string, Selectable<UsersTable>>
}> {
  const keys = candidates.map(({ key }) => key)
  const ids = candidates.flatMap(({ id }) => id ?? [])
  const users = db.selectFrom('latchkey_users').selectAll()
  const named = keys.length === 0 ? [] : await users.where('username_key', 'in', keys).execute()
  const identified = ids.length === 0 ? [] : await users.where('id', 'in', ids).execute()
  return {
    byKey: new Map(named.map(row => [row.username_key, row])),
    byId: new Map([...named, ...identified].map(row => [row.id, row]))
  }
}
