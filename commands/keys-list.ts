import type { Command } from 'commander'
import { toColumns } from './columns.js'
import { withLatchkey } from './context.js'
import { describeNext, toData, toText } from './key.js'
import { example, print } from './output.js'
import type { OutputOptions } from './output.js'

/** `latchkey keys list`. */
export function addKeysList (keys: Command): void {
  keys.command('list')
    .description('List the keys that verify access tokens, with their state, and which one signs. ' +
      'Never prints the keys themselves.')
    .option('--json', 'print a JSON array')
    .addHelpText('after', example('latchkey keys list'))
    .action(listKeys)
}

async function listKeys (options: OutputOptions): Promise<void> {
  await withLatchkey(async ({ keys }) => {
    const found = await keys.list()
    const rows = found.map(key => [key.kid, key.algorithm, key.state, toText(key.createdAt) ?? '', describeNext(key)])
    print(options, { data: found.map(toData), text: toColumns(['KID', 'ALGORITHM', 'STATE', 'CREATED', 'USE'], rows) })
  }, { isRepair: true })
}
