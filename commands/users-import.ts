import { open } from 'node:fs/promises'
import type { FileHandle } from 'node:fs/promises'
import type { Command } from 'commander'
import { COMMAND } from '../lib/ledger/events.js'
import type { UserFileFormat } from '../lib/users/transfer/file.js'
import type { ImportOptions, ImportRow, RowOutcome } from '../lib/users/transfer/import.js'
import { withLatchkey } from './context.js'
import { CommandError } from './failure.js'
import { example, print, warn } from './output.js'
import type { OutputOptions } from './output.js'
import { createProgress } from './progress.js'
import type { Progress } from './progress.js'
import { printable } from './terminal.js'
import { formatOf, formatOption } from './user-file.js'

/**
 * How many rows form a transaction. There are fewer if passwords must be hashed, because each takes a quarter of a
 * second.
 */
const BATCH = 1_000
const HASHED_BATCH = 32

type Counts = Record<RowOutcome['status'], number>

/** `latchkey users import`. */
export function addUsersImport (users: Command): void {
  users
    .command('import')
    .description(
      'Add the users of a file, with their password hashes (bcrypt, Argon2, scrypt, PBKDF2 or phpass) or with ' +
        'passwords, which the import hashes. Existing users are left unchanged. A bad row is reported, ' +
        'and the others are imported. Importing a file again continues where it stopped.'
    )
    .argument(
      '<file>',
      'NDJSON or CSV, with username, password_hash or password, and optionally id, scopes, ' +
        "roles, disabled and created_at; '-' is standard input"
    )
    .addOption(formatOption())
    .option(
      '--update',
      'change existing users to match their rows; a new password or disabling logs the user out, ' +
        'and losing a scope or a role invalidates the access tokens'
    )
    .option('--strict', 'stop at the first bad row; the rows before it are imported')
    .option('--dry-run', 'check every row and write nothing')
    .option('--json', 'print the counts as JSON')
    .addHelpText(
      'after',
      example(
        'latchkey users import users.ndjson --dry-run',
        "psql -c '\\copy (select ...) to stdout csv header' | latchkey users import - --format csv"
      )
    )
    .action(importUsers)
}

async function importUsers (
  file: string,
  options: OutputOptions & ImportOptions & { format?: UserFileFormat }
): Promise<void> {
  const format = formatOf(file, options.format)
  const source = await openSource(file)
  try {
    await withLatchkey(async ({ users }, { bcryptCost }) => {
      const progress = createProgress(process.stderr, () => performance.now(), { isQuiet: options.json === true })
      const counts: Counts = { added: 0, updated: 0, unchanged: 0, kept: 0, refused: 0 }
      const reader = await createReader(source, format, {
        progress,
        counts,
        bcryptCost,
        isStrict: options.strict === true,
        json: options.json === true
      })
      await reader.readAll(users.startImport(options, COMMAND)).finally(progress.end)
      report(counts, options)
      if (reader.costly > 0) {
        warn('costly_hashes', 'hashes with a higher cost than LATCHKEY_BCRYPT_COST ' +
          `(${bcryptCost}): ${reader.costly}. Raise it, otherwise the time of a login reveals which users exist`)
      }
      if (counts.refused > 0) throw new CommandError('rows_refused', describeRefused(counts, options))
    }, { mayCreate: true })
  } finally {
    await source.close()
  }
}

interface Source {
  chunks: AsyncIterable<Buffer>
  /** The part that has been read, 0 to 1. Undefined if the size is unknown. */
  part (): number | undefined
  close (): Promise<void>
}

async function openSource (file: string): Promise<Source> {
  if (file === '-') {
    return { chunks: process.stdin as AsyncIterable<Buffer>, part: () => undefined, close: async () => {} }
  }
  let handle: FileHandle
  let size: number
  try {
    handle = await open(file)
    size = (await handle.stat()).size
  } catch (cause) {
    throw new CommandError('invalid_file', `The file ${file} cannot be read (${(cause as Error).message}): ` +
      'use the path of a file of users, or - for standard input', { cause })
  }
  let done = 0
  async function * read (): AsyncGenerator<Buffer> {
    for await (const chunk of handle.createReadStream({ autoClose: false }) as AsyncIterable<Buffer>) {
      yield chunk
      done += chunk.length
    }
  }
  return { chunks: read(), part: () => size === 0 ? undefined : done / size, close: () => handle.close() }
}

async function createReader (
  { chunks, part }: Source,
  format: UserFileFormat,
  { progress, counts, bcryptCost, isStrict, json }: {
    progress: Progress
    counts: Counts
    bcryptCost: number
    isStrict: boolean
    json: boolean
  }
) {
  const [{ readUserFile, UserFileError }, { costOf }] = await Promise.all([
    import('../lib/users/transfer/file.js'),
    import('../lib/passwords/hash-format.js')
  ])
  let batch: ImportRow[] = []
  let hashed = 0
  let done = 0
  let costly = 0

  function refuse (line: number, reason: string): void {
    counts.refused++
    const message = printable(`line ${line}: ${reason}`)
    progress.say(json ? JSON.stringify({ error: 'row_refused', line, message }) : `latchkey: ${message}`)
  }

  /** Returns whether to continue. */
  async function flush (take: (rows: ImportRow[]) => Promise<RowOutcome[]>): Promise<boolean> {
    const outcomes = batch.length === 0 ? [] : await take(batch)
    done += batch.length
    batch = []
    hashed = 0
    for (const { line, status, reason = '' } of outcomes) {
      if (status === 'refused') refuse(line, reason)
      else counts[status]++
    }
    progress.report(done, part())
    return !isStrict || counts.refused === 0
  }

  async function readAll (take: (rows: ImportRow[]) => Promise<RowOutcome[]>): Promise<void> {
    try {
      for await (const row of readUserFile(chunks, format)) {
        if ('problem' in row) {
          // Keep the order of the file, because the rows before it may be reported too.
          if (!await flush(take)) return
          refuse(row.line, row.problem)
          if (isStrict) return
          continue
        }
        const { password, password_hash: hash } = (row.value ?? {}) as { password?: unknown, password_hash?: unknown }
        if (typeof hash === 'string' && (costOf(hash) ?? 0) > bcryptCost) costly++
        if (password !== undefined) hashed++
        batch.push(row)
        if ((batch.length === BATCH || hashed === HASHED_BATCH) && !await flush(take)) return
      }
      await flush(take)
    } catch (cause) {
      if (cause instanceof UserFileError) throw new CommandError('invalid_file', cause.message, { cause })
      throw cause
    }
  }

  return { readAll, get costly () { return costly } }
}

function report (counts: Counts, options: OutputOptions & ImportOptions): void {
  const { added, updated, unchanged, kept, refused } = counts
  const parts = [`${added} added`, `${updated} updated`, `${unchanged} unchanged`, `${refused} refused`]
  if (kept > 0) parts.splice(2, 0, `${kept} left unchanged although their rows differ (--update changes them)`)
  print(options, {
    data: { ...counts, dry_run: options.dryRun === true },
    text: `${options.dryRun === true ? 'Nothing was written. The result would be: ' : ''}${parts.join(', ')}.`
  })
}

function describeRefused ({ refused }: Counts, { strict }: ImportOptions): string {
  if (strict === true) {
    return 'Stopped at a bad row: fix it and import the file again. The rows before it are already imported'
  }
  return `${refused} ${refused === 1 ? 'row was' : 'rows were'} refused: fix ${refused === 1 ? 'it' : 'them'} and ` +
    'import the file again. Existing users are left unchanged'
}
