import type { Command } from 'commander'
import type { KeyView } from '../lib/keys/keyring.js'
import { COMMAND } from '../lib/ledger/events.js'
import { describeDatabase } from '../lib/store/engines.js'
import { requireYes } from './confirmation.js'
import { withLatchkey } from './context.js'
import { EXIT_CODES } from './exit-codes.js'
import { CommandError } from './failure.js'
import { describeNext, toData } from './key.js'
import { example, print } from './output.js'
import type { OutputOptions } from './output.js'

/** `latchkey keys revoke`. */
export function addKeysRevoke (keys: Command): void {
  keys.command('revoke')
    .description('For emergencies: revoke a key and all access tokens that it signed, at once, and erase it. ' +
      'If it was the signing key, another one replaces it. Sessions continue, because their clients can refresh.')
    .argument('<kid>', "the kid of the key, as shown by 'latchkey keys list'")
    .option('--yes', 'do not ask for confirmation; without this option, type y or pipe it in')
    .option('--json', 'print the key as JSON')
    .addHelpText('after', example('latchkey keys revoke 0199c1a7-6a1e-7cc3-8f4e-1f2a3b4c5d6e --yes'))
    .action(revokeKey)
}

async function revokeKey (kid: string, options: OutputOptions & { yes?: boolean }): Promise<void> {
  await withLatchkey(async ({ keys }, { database }) => {
    const key = (await keys.list()).find(key => key.kid === kid)
    if (key === undefined) {
      throw new CommandError(
        'not_found',
        `There is no key '${kid}' in ${describeDatabase(database)}: 'latchkey keys list' lists all keys`,
        { exitCode: EXIT_CODES.notFound }
      )
    }
    await requireYes(options, `The key ${describeNext(key)}. Revoke it and all tokens that it signed?`)
    const revoked = await keys.revoke(kid, COMMAND)
    const signer = (await keys.list()).find(({ signs }) => signs)
    print(options, { data: toData(revoked), text: describe(revoked, key, signer) })
  }, { isRepair: true })
}

function describe ({ kid }: KeyView, before: KeyView, signer: KeyView | undefined): string {
  if (before.state === 'revoked') return `The key ${kid} was already revoked. Nothing was changed.`
  const next = before.signs && signer !== undefined ? ` The key ${signer.kid} signs from now on.` : ''
  return `Revoked the key ${kid}. All tokens that it signed are invalid.${next}`
}
