import { createHash } from 'node:crypto'
import type { Transaction } from 'kysely'
import { LatchkeyError } from '../../errors.js'
import type { CopyEngine } from './engine.js'
import { clear, countRows, describeKey, NUMBERED, readPages, TABLES } from './tables.js'
import type { Row, TableName } from './tables.js'
import type { Store } from '../store.js'
import type { Tables } from '../tables.js'

export interface CopyOptions {
  source: CopySide
  target: CopySide
  /** Called with the number of rows that are copied, or read back, out of `total`. */
  report: (phase: 'copy' | 'check', rows: number, total: number) => void
}

/** One of the two databases of a copy. */
export interface CopySide {
  store: Pick<Store, 'read' | 'transaction'>
  engine: CopyEngine
  /** Its name in messages. */
  name: string
}

/** The content of a table of the target after the copy. */
export interface CopiedTable {
  table: TableName
  rows: number
  /** SHA-256 over all rows in the order of the primary key, in hexadecimal. Every engine has the same. */
  sha256: string
}

export type CopyErrorCode = 'same_database' | 'target_not_empty' | 'row_refused' | 'copy_differs' | 'store_unavailable'

/** The message gives the reason why nothing was copied, and what to do next. */
export class CopyError extends Error {
  override readonly name = 'CopyError'

  constructor (readonly code: CopyErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
  }
}

/**
 * Copies all rows of one database into another, which must be empty. It copies all rows or none, so it can run again
 * after any failure. No other process can write to the source meanwhile, so the source acknowledges nothing that the
 * copy lacks. Before the commit, it reads the target back and compares it with the source. Rows are copied unchanged:
 * keys stay sealed, and can be opened with the same secret.
 * @throws CopyError
 */
export async function copyStore ({ source, target, report }: CopyOptions): Promise<CopiedTable[]> {
  let copied: CopiedTable[] | undefined
  try {
    return await at(source, () => source.store.transaction(async from => {
      await source.engine.wait(from)
      const mark = await source.engine.hold(from)
      if (mark !== undefined && await isMarked(target, mark)) throw sameDatabase(target)
      let isCommitting = false
      copied = await at(target, () => target.store.transaction(async to => {
        isCommitting = false
        await target.engine.wait(to)
        await requireEmpty(to, target)
        const tables = await copyTables({ from, to, source, target, report })
        await checkTables(to, tables, { target, report })
        // If the source is lost by now, it may have acknowledged later changes that the copy lacks.
        await at(source, () => countRows(from, 'latchkey_meta'))
        isCommitting = true
        return tables
      }), () => isCommitting)
      return copied
    }))
  } catch (error) {
    // The source was only read, so it does not matter how its transaction ends.
    if (copied !== undefined) return copied
    throw error
  }
}

function isMarked (target: CopySide, mark: number): Promise<boolean> {
  return at(target, () => target.store.read(db => target.engine.isMarked(db, mark)))
}

/** The error for a target that is the source itself. */
export function sameDatabase (target: Pick<CopySide, 'name'>): CopyError {
  const message = `${target.name} is the database of --from under another name: give a new database`
  return new CopyError('same_database', message)
}

/** Runs `work` on one side. If its engine is not available, the error names that side. */
async function at<T> (
  { name, engine }: CopySide,
  work: () => Promise<T>,
  isCommitting = (): boolean => false
): Promise<T> {
  try {
    return await work()
  } catch (cause) {
    const error = engine.translate(cause)
    if (!(error instanceof LatchkeyError)) throw error
    const reason = error.cause instanceof Error ? error.cause.message : error.message
    const outcome = isCommitting()
      ? 'the commit was interrupted: run the command again. ' +
        'If it reports that the target is not empty, the copy is complete'
      : 'nothing was copied: run the command again when the database is available and no other process uses it'
    throw new CopyError('store_unavailable', `${name} is not available (${reason}); ${outcome}`, { cause: error })
  }
}

async function requireEmpty (to: Transaction<Tables>, { name }: CopySide): Promise<void> {
  const found: string[] = []
  for (const table of TABLES) {
    const rows = table === 'latchkey_meta' ? 0 : await countRows(to, table)
    if (rows > 0) found.push(`${rows} in ${table}`)
  }
  if (found.length === 0) return
  throw new CopyError('target_not_empty', `${name} is not empty (rows: ${found.join(', ')}): give a new database, ` +
    'which no service and no other command has used. This command creates the tables')
}

/** A copy in progress. */
interface Copying extends CopyOptions {
  from: Transaction<Tables>
  to: Transaction<Tables>
}

async function copyTables ({ from, to, source, target, report }: Copying): Promise<CopiedTable[]> {
  let total = 0
  for (const table of TABLES) total += await at(source, () => countRows(from, table))
  let done = 0
  report('copy', done, total)
  const tables: CopiedTable[] = []
  for (const table of TABLES) {
    if (table === 'latchkey_meta') await clear(to, table)
    const digest = createDigest()
    const pages = readPages(from, table)
    for (;;) {
      const page = await at(source, () => pages.next())
      if (page.done === true) break
      if (!target.engine.holdsNul) refuseNul(table, page.value, target)
      await insert({ to, target }, table, page.value)
      digest.add(page.value)
      done += page.value.length
      report('copy', done, total)
    }
    if (table in NUMBERED) {
      const last = await at(source, () => source.engine.lastNumber(from, table))
      await target.engine.continueAfter(to, table, last)
    }
    tables.push({ table, rows: digest.rows, sha256: digest.end() })
  }
  return tables
}

async function insert ({ to, target }: Pick<Copying, 'to' | 'target'>, table: TableName, rows: Row[]): Promise<void> {
  const { name, engine: { mostParameters, translate } } = target
  const size = Math.floor(mostParameters / Object.keys(rows[0] ?? {}).length)
  for (let start = 0; start < rows.length; start += size) {
    const batch = rows.slice(start, start + size)
    try {
      await to.insertInto(table).values(batch as never).execute()
    } catch (cause) {
      const error = translate(cause)
      if (error instanceof LatchkeyError) throw error
      const range = [batch[0], batch.at(-1)].map(row => describeKey(table, row ?? {})).join(' and ')
      const reason = (cause as Error).message
      throw new CopyError('row_refused', `${name} refuses a row of ${table} between ${range} (${reason}); ` +
        'nothing was copied: correct or remove the row in the source', { cause })
    }
  }
}

/** Refuses texts with NUL for an engine that cannot store them, because its store would write another text instead. */
function refuseNul (table: TableName, rows: Row[], { name }: CopySide): void {
  for (const row of rows) {
    for (const [column, value] of Object.entries(row)) {
      if (typeof value !== 'string' || !value.includes('\0')) continue
      throw new CopyError('row_refused', `${name} cannot store the ${column} of the row of ${table} with ` +
        `${describeKey(table, row)}, because its engine supports no NUL in a text; ` +
        'nothing was copied: correct or remove the row in the source')
    }
  }
}

/** Reads the target back, and compares it with the rows that were copied. */
async function checkTables (
  to: Transaction<Tables>,
  tables: CopiedTable[],
  { target, report }: Pick<Copying, 'target' | 'report'>
): Promise<void> {
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
    throw new CopyError('copy_differs', `${target.name} stores other rows in ${table} (${digest.rows} rows) ` +
      `than the source contains (${rows} rows); nothing was copied: ` +
      'check that the database stores texts as UTF-8, and that no other triggers change its rows')
  }
}

/** Hashes rows in a form that is the same in every engine: columns ordered by name, values as JSON. */
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
