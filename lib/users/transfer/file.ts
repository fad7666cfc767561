import { parse } from 'csv-parse/sync'
import { stringify } from 'csv-stringify/sync'
import { USER_COLUMNS } from '../../../schemas/users.js'
import type { UserRecord } from '../../../schemas/users.js'
import { readLines } from './text-lines.js'
import type { Line } from './text-lines.js'
import type { ImportRow } from './candidate.js'

/** How a file of users is written: a JSON object on each line, or CSV (RFC 4180) under a line with the names of the columns. */
export type UserFileFormat = 'ndjson' | 'csv'

/** A row that cannot be read, and why: the second half of a sentence. */
export interface UnreadableRow {
  line: number
  problem: string
}

/** The file as a whole cannot be read. The message says why, and nothing of what is in it. */
export class UserFileError extends Error {
  override readonly name = 'UserFileError'
}

/** Reads the rows of a file of users, one after the other, however long it is. Throws a UserFileError where the columns are not named. */
export function readUserFile (chunks: AsyncIterable<Buffer>, format: UserFileFormat): AsyncGenerator<ImportRow | UnreadableRow> {
  return format === 'csv' ? readCsv(chunks) : readNdjson(chunks)
}

async function * readNdjson (chunks: AsyncIterable<Buffer>): AsyncGenerator<ImportRow | UnreadableRow> {
  for await (const { line, text, problem } of readLines(chunks)) {
    if (problem !== undefined) yield { line, problem }
    else if (text.trim() !== '') yield readJson(line, text)
  }
}

function readJson (line: number, text: string): ImportRow | UnreadableRow {
  try {
    return { line, value: JSON.parse(text) }
  } catch {
    return { line, problem: 'it is no JSON' }
  }
}

/** How many lines a record may be spread over, by line breaks between quotes. */
const MOST_LINES = 10

/**
 * Record by record, and not the whole file in one stream, so that one bad row is one. But where a quote may be open nothing is a row any more: what follows may
 * be text of one cell, in which a user of another system has written rows of their choice.
 */
async function * readCsv (chunks: AsyncIterable<Buffer>): AsyncGenerator<ImportRow | UnreadableRow> {
  let columns: string[] | undefined
  for await (const record of readCsvRecords(chunks)) {
    if (columns === undefined) {
      columns = readHeader(record)
      continue
    }
    const { line, cells, problem } = record
    if (problem !== undefined) yield { line, problem }
    else if (cells.length !== columns.length) yield { line, problem: `it has ${cells.length} columns, where the first line names ${columns.length}` }
    else yield { line, value: toValue(columns, cells) }
  }
}

interface CsvRecord {
  line: number
  cells: string[]
  problem?: string
}

async function * readCsvRecords (chunks: AsyncIterable<Buffer>): AsyncGenerator<CsvRecord> {
  const lines = readLines(chunks)
  const ahead: Line[] = []
  async function peek (index: number): Promise<Line | undefined> {
    while (ahead.length <= index) {
      const next = await lines.next()
      if (next.done === true) return undefined
      ahead.push(next.value)
    }
    return ahead[index]
  }

  for (let first = await peek(0); first !== undefined; first = await peek(0)) {
    if (first.problem === undefined && first.text.trim() === '') {
      ahead.shift()
      continue
    }
    let { line, text, problem } = first
    let count = 1
    // An odd number of quotes: one is open at the end of the line, or there is one too many.
    while (problem === undefined && quotesIn(text) % 2 === 1) {
      const next = count < MOST_LINES ? await peek(count) : undefined
      if (next === undefined || next.problem !== undefined) problem = 'it has a quote that is not closed'
      else text += `\n${next.text}`
      count++
    }
    const record = problem === undefined ? readRecord(line, text) : { line, cells: [], problem }
    const isLost = record.problem !== undefined && (problem !== undefined || count > 1)
    yield isLost ? { ...record, problem: `${record.problem}; nothing from here on was read` } : record
    if (isLost) return
    ahead.splice(0, count)
  }
}

function quotesIn (text: string): number {
  return text.split('"').length - 1
}

function readRecord (line: number, text: string): CsvRecord {
  try {
    const records = parse(text, { relax_column_count: true, record_delimiter: ['\r\n', '\n'] }) as string[][]
    const [cells] = records
    return records.length === 1 && cells !== undefined ? { line, cells } : { line, cells: [], problem: 'its quotes are not those of CSV' }
  } catch {
    return { line, cells: [], problem: 'its quotes are not those of CSV' }
  }
}

function readHeader ({ cells, problem }: CsvRecord): string[] {
  const known = `the columns are ${USER_COLUMNS.join(', ')}`
  if (problem !== undefined) throw new UserFileError(`The first line does not name the columns: ${problem}; ${known}`)
  const unknown = cells.findIndex(name => !(USER_COLUMNS as string[]).includes(name))
  // The name itself may be a password, in a file without this line.
  if (unknown !== -1) throw new UserFileError(`The first line must name the columns, and what it has in place ${unknown + 1} is none: ${known}`)
  if (new Set(cells).size !== cells.length) throw new UserFileError('The first line names a column twice: leave one of the two out')
  return cells
}

/** An empty cell says nothing, but for the scopes: there are none. */
function toValue (columns: readonly string[], cells: readonly string[]): Record<string, unknown> {
  const value: Record<string, unknown> = {}
  for (const [index, name] of columns.entries()) {
    const cell = cells[index] ?? ''
    if (cell === '' && name !== 'scopes') continue
    value[name] = name === 'scopes' ? cell.split(' ').filter(scope => scope !== '') : name === 'disabled' ? readBoolean(cell) : cell
  }
  return value
}

function readBoolean (text: string): unknown {
  return text === 'true' ? true : text === 'false' ? false : text
}

/** Users as text that `readUserFile` reads. The first line of CSV names the columns: `isFirst` where these users come first in the file. */
export function formatUsers (users: readonly UserRecord[], format: UserFileFormat, { isFirst }: { isFirst: boolean }): string {
  if (format === 'ndjson') return users.map(user => `${JSON.stringify(user)}\n`).join('')
  const rows = users.map(({ scopes = [], disabled, ...user }) => ({ ...user, scopes: scopes.join(' '), disabled: String(disabled) }))
  return stringify(rows, { header: isFirst, columns: EXPORTED_COLUMNS })
}

const EXPORTED_COLUMNS = USER_COLUMNS.filter(name => name !== 'password')
