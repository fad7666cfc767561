import type { Command } from 'commander'
import { toColumns } from './columns.js'
import { example, print } from './output.js'
import type { OutputOptions } from './output.js'
import { withStore } from './store.js'

/** `latchkey settings list`. */
export function addSettingsList (settings: Command): void {
  settings.command('list')
    .description('List the stored settings that every node on PostgreSQL compares with its own at start.')
    .option('--json', 'print the result as JSON')
    .addHelpText('after', example('latchkey settings list'))
    .action(listSettings)
}

async function listSettings (options: OutputOptions): Promise<void> {
  const { readSettings } = await import('../lib/store/settings.js')
  await withStore(async store => {
    const settings = await store.read(readSettings)
    print(options, { data: settings, text: toColumns(['SETTING', 'VALUE'], Object.entries(settings)) })
  })
}
