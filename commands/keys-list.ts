import type { Command } from 'commander'
import { withLatchkey } from './context.js'
import { example, print, toColumns } from './output.js'
import type { OutputOptions } from './output.js'

/** `latchkey keys list`. */
export function addKeysList (keys: Command): void {
  keys.command('list')
    .description('List the keys that access tokens are verified with, and which one signs. Never the keys themselves.')
    .option('--json', 'print an array')
    .addHelpText('after', example('latchkey keys list'))
    .action(listKeys)
}

async function listKeys (options: OutputOptions): Promise<void> {
  await withLatchkey(async ({ tokens }) => {
    const keys = tokens.listKeys()
    print(options, { data: keys, text: toColumns(['KID', 'ALGORITHM', 'USE'], keys.map(({ kid, algorithm, signs }) => [kid, algorithm, signs ? 'signs and verifies' : 'verifies'])) })
  })
}
