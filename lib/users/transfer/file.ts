import { parse } from 'csv-parse/sync'
import { stringify } from 'csv-stringify/sync'
import { USER_COLUMNS } from '../../../schemas/users.js'
import type { UserRecord } from '../../../schemas/users.js'
import { readLines } from './text-lines.js'
import type { Line } from './text-lines.js'
import type { ImportRow } from './candidate.js'

/** The format of a file of users: a JSON object on each line, or CSV (RFC 4180) whose first line names the columns. */
export type UserFileFormat = 'ndjson' | 'csv'

/** A row that cannot be read. */
export interface UnreadableRow {
  line: number
  /** The reason, as a clause that can follow `line 3: `. */
  problem: string
}

/** The file as a whole cannot be read. The message gives the reason and never quotes the file. */
export class UserFileError extends Error {
  override readonly name = 'UserFileError'
}

/**
 * Reads the rows of a file of users one by one, so the file may have any length. Throws a UserFileError if the first
 * line of CSV does not name the columns.
 */
export function readUserFile (
  chunks: AsyncIterable<Buffer>,
  format: UserFileFormat
): AsyncGenerator<ImportRow | UnreadableRow> {
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
    return { line, problem: 'it is not JSON' }
  }
}

/** The maximum number of lines of one record, which may have line breaks between quotes. */
const MOST_LINES = 10

/**
 * Parses each record on its own, not the file as one stream, so that a bad row does not affect the rows after it. But
 * if a quote may be open, it stops: the text that follows may belong to one cell, in which a user of another system has
 * written rows of their choice.
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
    else if (cells.length !== columns.length) {
      yield {
        line,
        problem: `it has ${cells.length} columns, but the first line names ${columns.length}`
      }
    } else yield { line, value: toValue(columns, cells) }
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
    // If the number of quotes is odd, one is open at the end of the line, or there is one too many.
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
    return records.length === 1 && cells !== undefined
      ? { line, cells }
      : { line, cells: [], problem: 'its quotes are not valid CSV' }
  } catch {
    return { line, cells: [], problem: 'its quotes are not valid CSV' }
  }
}

function readHeader ({ cells, problem }: CsvRecord): string[] {
  const known = USER_COLUMNS.join(', ')
  if (problem !== undefined) {
    throw new UserFileError(`The first line does not name the columns: ${problem}. Use these names: ${known}`)
  }
  const unknown = cells.findIndex(name => !(USER_COLUMNS as string[]).includes(name))
  if (unknown !== -1) {
    // The message does not quote the name: in a file without a header line, it may be a password.
    const problem = `name ${unknown + 1} is not a known column`
    throw new UserFileError(`The first line must name the columns, but ${problem}. Use these names: ${known}`)
  }
  if (new Set(cells).size !== cells.length) {
    throw new UserFileError('The first line names a column twice: remove one of the two')
  }
  return cells
}

/** An empty cell means that the member is missing. In a column of scopes or roles, it means an empty list. */
function toValue (columns: readonly string[], cells: readonly string[]): Record<string, unknown> {
  const value: Record<string, unknown> = {}
  for (const [index, name] of columns.entries()) {
    const cell = cells[index] ?? ''
    const isList = name === 'scopes' || name === 'roles'
    if (cell === '' && !isList) continue
    value[name] =
      isList ? cell.split(' ').filter(part => part !== '') : name === 'disabled' ? readBoolean(cell) : cell
  }
  return value
}

function readBoolean (text: string): unknown {
  return text === 'true' ? true : text === 'false' ? false : text
}

/**
 * Formats users as text that `readUserFile` can read.
 * @param options.isFirst - whether these users are the first in the file. If so, CSV begins with the column names.
 */
export function formatUsers (
  users: readonly UserRecord[], format: UserFileFormat, { isFirst }: { isFirst: boolean }
): string {
  if (format === 'ndjson') return users.map(user => `${JSON.stringify(user)}\n`).join('')
  const rows = users.map(({ scopes = [], roles = [], disabled, ...user }) => ({
    ...user,
    scopes: scopes.join(' '),
    roles: roles.join(' '),
    disabled: String(disabled)
  }))
  return stringify(rows, { header: isFirst, columns: EXPORTED_COLUMNS })
}

const EXPORTED_COLUMNS = USER_COLUMNS.filter(name => name !== 'password')
