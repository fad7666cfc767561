import { open, rm } from 'node:fs/promises'
import type { FileHandle } from 'node:fs/promises'
import { once } from 'node:events'
import type { Command } from 'commander'
import { COMMAND } from '../lib/ledger/events.js'
import type { UserFileFormat } from '../lib/users/transfer/file.js'
import type { Users } from '../lib/users/users.js'
import { withLatchkey } from './context.js'
import { EXIT_CODES } from './exit-codes.js'
import { CommandError } from './failure.js'
import { example, print } from './output.js'
import type { OutputOptions } from './output.js'
import { formatOf, formatOption } from './user-file.js'

/** `latchkey users export`. */
export function addUsersExport (users: Command): void {
  users
    .command('export')
    .description(
      "Write all users with their password hashes to a new file of mode 0600, in the format of 'users import'."
    )
    .argument('[file]', 'the file to create; default: standard output, which requires --with-hashes and --format')
    .addOption(formatOption())
    .option('--with-hashes', 'confirm that standard output receives the password hashes')
    .option('--json', 'print the number of exported users as JSON')
    .addHelpText(
      'after',
      example(
        'latchkey users export users.ndjson',
        'latchkey users export --with-hashes --format csv | gpg --encrypt --recipient ops > users.csv.gpg'
      )
    )
    .action(exportUsers)
}

async function exportUsers (
  file: string | undefined,
  options: OutputOptions & { format?: UserFileFormat, withHashes?: boolean }
): Promise<void> {
  if (file === undefined && options.withHashes !== true) {
    throw new CommandError('usage', 'The export contains password hashes: name a file, or use --with-hashes to write ' +
      "them to standard output. 'latchkey users list' shows users without them", { exitCode: EXIT_CODES.usage })
  }
  const format = file === undefined ? options.format ?? 'ndjson' : formatOf(file, options.format)
  await withLatchkey(async ({ users }) => {
    if (file === undefined) {
      await write(users, format, async text => { if (!process.stdout.write(text)) await once(process.stdout, 'drain') })
      return
    }
    const count = await writeFile(users, format, file)
    print(options, {
      data: { file, users: count },
      text: `Wrote ${count} ${count === 1
        ? 'user'
        : 'users'} with their password hashes to ${file}. Keep this file secret.`
    })
  })
}

async function writeFile (users: Users, format: UserFileFormat, file: string): Promise<number> {
  let handle: FileHandle
  try {
    // Never overwrite a file, because an existing file would keep its mode.
    handle = await open(file, 'wx', 0o600)
  } catch (cause) {
    throw new CommandError('invalid_file', `The file ${file} cannot be created (${(cause as Error).message}): ` +
      'use the path of a new file in a writable folder', { cause })
  }
  try {
    const count = await write(users, format, async text => { await handle.appendFile(text) })
    await handle.sync()
    await handle.close()
    return count
  } catch (cause) {
    await handle.close().catch(() => {})
    await rm(file, { force: true })
    throw cause
  }
}

async function write (users: Users, format: UserFileFormat, append: (text: string) => Promise<void>): Promise<number> {
  const { formatUsers } = await import('../lib/users/transfer/file.js')
  let count = 0
  for await (const page of users.exportAll(COMMAND)) {
    await append(formatUsers(page, format, { isFirst: count === 0 }))
    count += page.length
  }
  // A CSV file without users still has the row of column names.
  if (count === 0) await append(formatUsers([], format, { isFirst: true }))
  return count
}
