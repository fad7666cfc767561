import type { Command } from 'commander'
import { COMMAND } from '../lib/ledger/events.js'
import { describeSecret, requireClient, toData } from './client.js'
import { withLatchkey } from './context.js'
import { CommandError } from './failure.js'
import { example, print } from './output.js'
import type { OutputOptions } from './output.js'

/** `latchkey clients rotate-secret`. */
export function addClientsRotateSecret (clients: Command): void {
  clients.command('rotate-secret')
    .description('Give a machine client a new secret, and print it. The old secret and the access tokens issued with ' +
      'it are invalid at once. Sessions continue.')
    .argument('<id>', 'the id of the client')
    .option('--json', 'print the client as JSON, with its secret')
    .addHelpText('after', example('latchkey clients rotate-secret lkc_0198c0ffee0070008000000000000001'))
    .action(rotateSecret)
}

async function rotateSecret (id: string, options: OutputOptions): Promise<void> {
  await withLatchkey(async (latchkey, settings) => {
    const { isPublic } = await requireClient(latchkey, id, settings)
    if (isPublic) throw new CommandError('invalid_request', `The client '${id}' is public and has no secret`)
    const { client, secret } = await latchkey.clients.rotateSecret(id, COMMAND)
    print(options, { data: { ...toData(client), secret }, text: describeSecret(client, secret) })
  })
}
