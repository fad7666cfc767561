import { createHash } from 'node:crypto'
import type { Transaction } from 'kysely'
import { LatchkeyError } from '../../errors.js'
import type { CopyEngine } from './engine.js'
import { clear, countRows, describeKey, NUMBERED, readPages, TABLES } from './tables.js'
import type { Row, TableName } from './tables.js'
import { translate } from '../sqlite/errors.js'
import type { Store } from '../store.js'
import type { Tables } from '../tables.js'

/** SQLite takes 32,766 parameters in a query, PostgreSQL 65,535. */
const MOST_PARAMETERS = 32_766

/** One of the two databases of a copy. */
export interface CopySide {
  store: Pick<Store, 'read' | 'transaction'>
  engine: CopyEngine
  /** What messages call it. */
  name: string
}

/** What a table of the target now holds. */
export interface CopiedTable {
  table: TableName
  rows: number
  /** SHA-256 over all rows in the order of the primary key, in hexadecimal: the same in every engine. */
  sha256: string
}

export type CopyErrorCode = 'same_database' | 'target_not_empty' | 'row_refused' | 'copy_differs' | 'store_unavailable'

/** Why nothing was copied: one sentence, which says what to do next. */
export class CopyError extends Error {
  override readonly name = 'CopyError'

  constructor (readonly code: CopyErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
  }
}

/**
 * Copies all rows of one database into another, which must be empty: all of them or none, whatever happens, so that it can be done again.
 * Nobody writes to the source meanwhile, so that nothing can be acknowledged there that the copy lacks. What was written is read back and
 * compared before the commit. Rows are copied as they are: keys stay sealed, and open with the same secret.
 * @param report - is told how many rows of how many are copied, or read back.
 * @throws CopyError
 */
export async function copyStore ({ source, target, report }: { source: CopySide, target: CopySide, report: (phase: 'copy' | 'check', rows: number, total: number) => void }): Promise<CopiedTable[]> {
  let copied: CopiedTable[] | undefined
  try {
    return await at(source, () => source.store.transaction(async from => {
      await source.engine.wait(from)
      const mark = await source.engine.hold(from)
      if (mark !== undefined && await at(target, () => target.store.read(db => target.engine.isMarked(db, mark)))) throw sameDatabase(target)
      let isCommitting = false
      copied = await at(target, () => target.store.transaction(async to => {
        isCommitting = false
        await target.engine.wait(to)
        await requireEmpty(to, target)
        const tables = await copyTables({ from, to, source, target, report })
        await checkTables(to, tables, { target, report })
        // Who has lost the source by now does not know what was acknowledged there since.
        await at(source, () => countRows(from, 'meta'))
        isCommitting = true
        return tables
      }), () => isCommitting)
      return copied
    }))
  } catch (error) {
    // The source was only read: how its transaction ends changes nothing.
    if (copied !== undefined) return copied
    throw error
  }
}

export function sameDatabase (target: Pick<CopySide, 'name'>): CopyError {
  return new CopyError('same_database', `${target.name} is the database of --from under another name: give a new database`)
}

/** Has an engine that cannot do now what is asked of it named by its side. */
async function at<T> ({ name }: CopySide, work: () => Promise<T>, isCommitting = (): boolean => false): Promise<T> {
  try {
    return await work()
  } catch (cause) {
    const error = translate(cause)
    if (!(error instanceof LatchkeyError)) throw error
    const reason = error.cause instanceof Error ? error.cause.message : error.message
    const outcome = isCommitting()
      ? 'it broke off in the commit: run it again, and where that says that the target is not empty, the copy is complete'
      : 'nothing was copied: run it again when the database is there, and nobody uses it'
    throw new CopyError('store_unavailable', `${name} is not available (${reason}); ${outcome}`, { cause: error })
  }
}

async function requireEmpty (to: Transaction<Tables>, { name }: CopySide): Promise<void> {
  const found: string[] = []
  for (const table of TABLES) {
    const rows = table === 'meta' ? 0 : await countRows(to, table)
    if (rows > 0) found.push(`${rows} in ${table}`)
  }
  if (found.length > 0) throw new CopyError('target_not_empty', `${name} is not empty (rows: ${found.join(', ')}): give a new database, in which no other verb and no service has run; the tables are made by this one`)
}

interface Copying {
  from: Transaction<Tables>
  to: Transaction<Tables>
  source: CopySide
  target: CopySide
  report: (phase: 'copy' | 'check', rows: number, total: number) => void
}

async function copyTables ({ from, to, source, target, report }: Copying): Promise<CopiedTable[]> {
  let total = 0
  for (const table of TABLES) total += await at(source, () => countRows(from, table))
  let done = 0
  report('copy', done, total)
  const tables: CopiedTable[] = []
  for (const table of TABLES) {
    if (table === 'meta') await clear(to, table)
    const digest = createDigest()
    const pages = readPages(from, table)
    for (;;) {
      const page = await at(source, () => pages.next())
      if (page.done === true) break
      if (!target.engine.holdsNul) refuseNul(table, page.value, target)
      await insert(to, table, page.value, target)
      digest.add(page.value)
      done += page.value.length
      report('copy', done, total)
    }
    if (table in NUMBERED) await target.engine.continueAfter(to, table, await at(source, () => source.engine.lastNumber(from, table)))
    tables.push({ table, rows: digest.rows, sha256: digest.end() })
  }
  return tables
}

async function insert (to: Transaction<Tables>, table: TableName, rows: Row[], { name }: CopySide): Promise<void> {
  const size = Math.floor(MOST_PARAMETERS / Object.keys(rows[0] ?? {}).length)
  for (let start = 0; start < rows.length; start += size) {
    const batch = rows.slice(start, start + size)
    try {
      await to.insertInto(table).values(batch as never).execute()
    } catch (cause) {
      const error = translate(cause)
      if (error instanceof LatchkeyError) throw error
      const [first = {}, last = {}] = [batch[0], batch.at(-1)]
      throw new CopyError('row_refused', `${name} refuses a row of ${table} between ${describeKey(table, first)} and ${describeKey(table, last)} (${(cause as Error).message}); nothing was copied: mend or remove the row in the source`, { cause })
    }
  }
}

/** The store would write something else in its place. */
function refuseNul (table: TableName, rows: Row[], { name }: CopySide): void {
  for (const row of rows) {
    for (const [column, value] of Object.entries(row)) {
      if (typeof value !== 'string' || !value.includes('\0')) continue
      throw new CopyError('row_refused', `${name} cannot hold the ${column} of the row of ${table} with ${describeKey(table, row)}: PostgreSQL has no NUL in a text; nothing was copied: mend or remove the row in the source`)
    }
  }
}

async function checkTables (to: Transaction<Tables>, tables: CopiedTable[], { target, report }: Pick<Copying, 'target' | 'report'>): Promise<void> {
  const total = tables.reduce((sum, { rows }) => sum + rows, 0)
  let done = 0
  report('check', done, total)
  for (const { table, rows, sha256 } of tables) {
    const digest = createDigest()
    for await (const page of readPages(to, table)) {
      digest.add(page)
      done += page.length
      report('check', done, total)
    }
    if (digest.rows === rows && digest.end() === sha256) continue
    throw new CopyError('copy_differs', `What ${target.name} holds in ${table} (${digest.rows} rows) is not what was read from the source (${rows} rows); nothing was copied: look whether the database keeps texts as UTF-8, and whether triggers of somebody else change its rows`)
  }
}

/** Takes rows in, and tells of them what is the same in every engine: columns by their names, values as JSON. */
function createDigest (): { add (rows: Row[]): void, readonly rows: number, end (): string } {
  const hash = createHash('sha256')
  let count = 0
  let columns: string[] | undefined
  return {
    add (rows) {
      columns ??= Object.keys(rows[0] ?? {}).sort()
      if (count === 0) hash.update(`${JSON.stringify(columns)}\n`)
      const names = columns
      hash.update(rows.map(row => `${JSON.stringify(names.map(name => row[name]))}\n`).join(''))
      count += rows.length
    },
    get rows () { return count },
    end: () => hash.digest('hex')
  }
}
