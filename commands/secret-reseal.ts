import type { Command } from 'commander'
import { COMMAND } from '../lib/ledger/events.js'
import { withLatchkey } from './context.js'
import { example, print } from './output.js'
import type { OutputOptions } from './output.js'

/** `latchkey secret reseal`. */
export function addSecretReseal (secret: Command): void {
  secret.command('reseal')
    .description('Seal all keys in the database with the first secret of LATCHKEY_SECRET. ' +
      'Afterwards no key needs the other secrets. Sessions that have not been refreshed since you added the first ' +
      'secret still need them.')
    .option('--json', 'print the number of resealed keys as JSON')
    .addHelpText('after', example('LATCHKEY_SECRET="$NEW,$OLD" latchkey secret reseal'))
    .action(reseal)
}

async function reseal (options: OutputOptions): Promise<void> {
  await withLatchkey(async ({ keys }) => {
    const { resealed, unchanged } = await keys.reseal(COMMAND)
    const others = unchanged === 0 ? '' : ` ${unchanged} already ${unchanged === 1 ? 'was' : 'were'}.`
    print(options, {
      data: { resealed, unchanged },
      text: `Sealed ${resealed} ${resealed === 1 ? 'key' : 'keys'} with the first secret.${others}`
    })
  })
}
