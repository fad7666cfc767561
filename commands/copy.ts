import { stat } from 'node:fs/promises'
import type { Command } from 'commander'
import { secretFileOf } from '../lib/keys/secret-file.js'
import type { CopiedTable, CopyErrorCode, CopySide } from '../lib/store/copy/copy.js'
import type { CopyEngine } from '../lib/store/copy/engine.js'
import { describeDatabase, engineOf } from '../lib/store/engines.js'
import type { Store } from '../lib/store/store.js'
import { toColumns } from './columns.js'
import { EXIT_CODES } from './exit-codes.js'
import type { ExitCode } from './exit-codes.js'
import { CommandError } from './failure.js'
import { example, print } from './output.js'
import type { OutputOptions } from './output.js'
import { count, createProgress } from './progress.js'
import type { Progress } from './progress.js'

interface CopyOptions extends OutputOptions {
  from: string
  to: string
}

/** Milliseconds. Only the copy waits for these connections, so they may take longer than those of a service. */
const PATIENCE = 60_000

const ERROR_EXIT_CODES: Partial<Record<CopyErrorCode, ExitCode>> = {
  same_database: EXIT_CODES.usage,
  store_unavailable: EXIT_CODES.unavailable
}

/** `latchkey copy`. */
export function addCopy (program: Command): void {
  program
    .command('copy')
    .description(
      'Copy everything from one database to another, for example from SQLite to PostgreSQL. ' +
        'Sessions and tokens keep working. Stop the service first, then start it on the new database. ' +
        'Never use the old one again, because neither database receives the revocations of the other. ' +
        'The source does not change, except that its schema is brought up to date. The target must be empty. ' +
        'It receives everything or nothing, so after a failure you can run the command again.'
    )
    .requiredOption('--from <database>', 'the database to read: the path of a SQLite file, or postgres://...')
    .requiredOption(
      '--to <database>',
      'the new database: a path or a URL. Other users of this machine can read arguments, ' +
        'so leave the password out of the URL. Set PGPASSWORD, or use ~/.pgpass'
    )
    .option('--json', 'print the counts and hashes as JSON')
    .addHelpText(
      'after',
      example('latchkey copy --from ./latchkey.db --to postgres://latchkey@db.example.com/latchkey')
    )
    .action(copy)
}

async function copy (options: CopyOptions): Promise<void> {
  const names = { from: nameOf('from', options.from), to: nameOf('to', options.to) }
  const { copyStore, CopyError, sameDatabase } = await import('../lib/store/copy/copy.js')
  const opened: Store[] = []

  async function openSide (side: 'from' | 'to'): Promise<CopySide> {
    const database = options[side]
    const { open, loadCopyEngine } = engineOf(database)
    const engine = await loadCopyEngine()
    try {
      // The copy does not follow changes of other nodes, so any bound will do.
      const store = await open(database, {
        bound: PATIENCE, log: () => {}, name: `--${side}`, mustExist: side === 'from', patience: PATIENCE
      })
      opened.push(store)
      return { store, engine, name: names[side] }
    } catch (cause) {
      throw cannotOpen(engine, cause)
    }
  }

  try {
    if (await isSameFile(options.from, options.to)) throw sameDatabase({ name: names.to })
    const source = await openSide('from')
    const target = await openSide('to')
    const { report, end } = createReport(options)
    const tables = await copyStore({ source, target, report }).finally(end)
    await printCopied(options, tables)
  } catch (cause) {
    if (!(cause instanceof CopyError)) throw cause
    throw new CommandError(cause.code, cause.message, {
      exitCode: ERROR_EXIT_CODES[cause.code] ?? EXIT_CODES.failed,
      cause
    })
  } finally {
    for (const store of opened) await store.close()
  }
}

/** Returns the name of a database for messages. Rejects a database that exists in memory only. */
function nameOf (side: 'from' | 'to', database: string): string {
  if (database !== '' && database !== ':memory:') return `--${side} ${describeDatabase(database)}`
  throw new CommandError(
    'usage',
    `--${side} '${database}' is not a stored database: use the path of a SQLite file, or postgres://...`,
    { exitCode: EXIT_CODES.usage }
  )
}

/**
 * The exit code shows whether it is worth trying again: the server is not available, or a process has locked the file.
 */
function cannotOpen ({ isAway }: CopyEngine, error: unknown): CommandError {
  const exitCode = isAway(error) ? EXIT_CODES.unavailable : EXIT_CODES.failed
  return new CommandError('cannot_open', (error as Error).message, { exitCode, cause: error })
}

/** Whether two paths are the same file, perhaps through links. */
async function isSameFile (one: string, other: string): Promise<boolean> {
  const [first, second] = await Promise.all([one, other].map(async database => {
    const file = engineOf(database).fileOf(database)
    return file === undefined ? undefined : await stat(file).catch(() => undefined)
  }))
  return first !== undefined && second !== undefined && first.dev === second.dev && first.ino === second.ino
}

/** Shows one progress bar for copying and one for reading back, because their speeds differ. */
function createReport ({ json }: OutputOptions): {
  report: (phase: 'copy' | 'check', rows: number, total: number) => void
  end: () => void
} {
  let current: { phase: string, progress: Progress } | undefined
  return {
    report (phase, rows, total) {
      if (current?.phase !== phase) {
        current?.progress.end()
        current = {
          phase,
          progress: createProgress(process.stderr, () => performance.now(), { isQuiet: json === true })
        }
        if (json !== true) {
          current.progress.say(
            phase === 'copy'
              ? `latchkey: copying ${count(total)} rows`
              : `latchkey: reading ${count(total)} rows back and comparing them`
          )
        }
      }
      current.progress.report(rows, total === 0 ? undefined : rows / total)
    },
    end: () => current?.progress.end()
  }
}

async function printCopied (options: CopyOptions, tables: CopiedTable[]): Promise<void> {
  const [from, to] = [describeDatabase(options.from), describeDatabase(options.to)]
  const rows = tables.reduce((sum, table) => sum + table.rows, 0)
  const isFile = engineOf(options.to).fileOf(options.to) !== undefined
  const text = [
    toColumns(
      ['TABLE', 'ROWS', 'SHA-256'],
      tables.map(({ table, rows, sha256 }) => [table, String(rows), sha256])
    ),
    `Copied ${count(rows)} rows from ${from} to ${to}, read them back, and found them identical.`,
    '',
    `Now start the service with LATCHKEY_DATABASE set to ${isFile
      ? ''
      : 'the URL of '}${to}, and with the same secret:`,
    `  ${await describeSecret(options.from)}`,
    `Never start it on ${from} again: keep it as a backup, or remove it.`
  ]
  print(options, { data: { from, to, rows, tables }, text: text.join('\n') })
}

/** Says where to find the secret that seals the keys in the database. The secret itself is never printed. */
async function describeSecret (from: string): Promise<string> {
  const file = secretFileOf(from)
  const isFile = engineOf(from).fileOf(from) !== undefined
  const isThere = isFile && await stat(file).then(() => true, () => false)
  if (!isThere) return 'keep LATCHKEY_SECRET as it is'
  return `LATCHKEY_SECRET="$(cat ${quote(file)})"     (if LATCHKEY_SECRET was already set, keep its value instead)`
}

/** Quotes a path for the shell. */
function quote (path: string): string {
  return /^[\w./-]+$/.test(path) ? path : `'${path.replaceAll("'", "'\\''")}'`
}
