import { extname } from 'node:path'
import { Option } from 'commander'
import type { UserFileFormat } from '../lib/users/transfer/file.js'
import { EXIT_CODES } from './exit-codes.js'
import { CommandError } from './failure.js'

/** The option `--format`. It repeats the formats of lib/users/transfer/file.ts, which only the command itself loads. */
export function formatOption (): Option {
  return new Option('--format <format>', 'the format of the file; default: its file name extension').choices([
    'ndjson',
    'csv'
  ] satisfies UserFileFormat[])
}

/** Returns the format of a file: the given one, otherwise that of its file name extension. */
export function formatOf (file: string, given: UserFileFormat | undefined): UserFileFormat {
  if (given !== undefined) return given
  const extension = extname(file).toLowerCase()
  if (extension === '.ndjson' || extension === '.jsonl') return 'ndjson'
  if (extension === '.csv') return 'csv'
  throw new CommandError(
    'usage',
    `The name '${file}' does not end with .ndjson or .csv: use --format ndjson or --format csv`,
    { exitCode: EXIT_CODES.usage }
  )
}
