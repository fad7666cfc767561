import { describeDatabase } from '../lib/store/engines.js'
import type { Command } from 'commander'
import { withLatchkey } from './context.js'
import { example, print } from './output.js'
import type { OutputOptions } from './output.js'

/** `latchkey migrate`. */
export function addMigrate (program: Command): void {
  program
    .command('migrate')
    .description(
      'Create the database if it does not exist, and bring its schema up to date. The service and all other ' +
        'commands bring the schema up to date too.'
    )
    .option('--json', 'print the result as JSON')
    .addHelpText('after', example('latchkey migrate'))
    .action(migrate)
}

async function migrate (options: OutputOptions): Promise<void> {
  // Opening the database brings its schema up to date.
  await withLatchkey(async (_latchkey, { database }) => {
    print(options, {
      data: { database: describeDatabase(database), schema: 'current' },
      text: `The schema of ${describeDatabase(database)} is up to date.`
    })
  }, { mayCreate: true })
}
