import type { Command } from 'commander'
import { toColumns } from './columns.js'
import { example, print } from './output.js'
import type { OutputOptions } from './output.js'
import { withStore } from './store.js'

/** `latchkey settings forget`. */
export function addSettingsForget (settings: Command): void {
  settings.command('forget')
    .description('Delete the stored settings, so that you can change the issuer or the audience of all nodes. ' +
      'Stop all nodes first, then start them with the new values. The first node stores its own.')
    .option('--json', 'print the deleted settings as JSON')
    .addHelpText('after', example('latchkey settings forget'))
    .action(forget)
}

async function forget (options: OutputOptions): Promise<void> {
  const { forgetSettings } = await import('../lib/store/settings.js')
  await withStore(async store => {
    const settings = await forgetSettings(store)
    print(options, { data: settings, text: toColumns(['FORGOTTEN', 'VALUE'], Object.entries(settings)) })
  })
}
