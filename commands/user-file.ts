import { extname } from 'node:path'
import { Option } from 'commander'
import type { UserFileFormat } from '../lib/users/transfer/file.js'
import { EXIT_CODES } from './exit-codes.js'
import { CommandError } from './failure.js'

/** `--format`, where the name of the file does not say it. The formats are those of lib/users/transfer/file.ts, which only the verb itself loads. */
export function formatOption (): Option {
  return new Option('--format <format>', 'the format of the file; default: the ending of its name').choices(['ndjson', 'csv'] satisfies UserFileFormat[])
}

/** The format of a file: what was said, else what its name ends with. */
export function formatOf (file: string, said: UserFileFormat | undefined): UserFileFormat {
  if (said !== undefined) return said
  const extension = extname(file).toLowerCase()
  if (extension === '.ndjson' || extension === '.jsonl') return 'ndjson'
  if (extension === '.csv') return 'csv'
  throw new CommandError('usage', `The name '${file}' does not end with .ndjson or .csv: say --format ndjson or --format csv`, { exitCode: EXIT_CODES.usage })
}
