import type { Command } from 'commander'
import type { RotationOutcome } from '../lib/keys/administration.js'
import type { KeyView } from '../lib/keys/keyring.js'
import { COMMAND } from '../lib/ledger/events.js'
import { withLatchkey } from './context.js'
import { toData, toText } from './key.js'
import { example, print } from './output.js'
import type { OutputOptions } from './output.js'

/** `latchkey keys rotate`. */
export function addKeysRotate (keys: Command): void {
  keys
    .command('rotate')
    .description(
      'Create the next signing key. It is published at once, and signs a few minutes later, ' +
        'when all verifiers have had time to read it. The previous key verifies tokens until its last one expires. ' +
        'No user is logged out.'
    )
    .option(
      '--now',
      'let it sign at once; verifiers that cache the published keys may reject its tokens for a few minutes'
    )
    .option('--json', 'print the outcome and the key as JSON')
    .addHelpText('after', example('latchkey keys rotate'))
    .action(rotateKeys)
}

async function rotateKeys (options: OutputOptions & { now?: boolean }): Promise<void> {
  await withLatchkey(async ({ keys }) => {
    const { outcome, key } = await keys.rotate({ immediately: options.now, by: COMMAND })
    print(options, { data: { outcome, key: toData(key) }, text: describe(outcome, key) })
  })
}

function describe (outcome: RotationOutcome, { kid, state, activatesAt }: KeyView): string {
  if (outcome === 'pending') {
    return `The key ${kid} is already pending and signs from ${toText(activatesAt)}. ` +
      'Nothing was changed. To let it sign at once, use --now.'
  }
  if (outcome === 'activated') return `The pending key ${kid} now signs.`
  return state === 'pending'
    ? `Created the key ${kid}, which signs from ${toText(activatesAt)}.`
    : `Created the key ${kid}, which now signs.`
}
