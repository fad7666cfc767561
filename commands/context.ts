import type { Latchkey } from '../lib/latchkey.js'
import type { Settings } from '../lib/options/options.js'
import { readEnvironment } from './environment.js'
import { CommandError } from './failure.js'

// The plugin is loaded only if a command needs it, which saves `--help` and usage errors half a second.

/**
 * Opens the services behind the routes, without routes and without listening, and closes them when `work` is done. They
 * use the same database as the service, which may be running.
 * @param options.isRepair - opens the services even if the secret opens no key, for commands that find and remove
 *   damaged keys.
 */
export async function withLatchkey (
  work: (latchkey: Latchkey, settings: Settings) => Promise<void>,
  { isRepair = false } = {}
): Promise<void> {
  const { options } = await readEnvironment()
  const { readOptions } = await import('../lib/options/options.js')
  const settings = readOptions(options)
  if (settings.database === ':memory:') {
    throw new CommandError(
      'no_database',
      "LATCHKEY_DATABASE is ':memory:', which no other process can open: set it to the path of the service's database"
    )
  }
  const [{ fastify }, { default: latchkey }, { kRepair, kServicesOnly }] = await Promise.all([
    import('fastify'),
    import('../app.js'),
    import('../plugins/settings.js')
  ])
  const app = fastify({ logger: false })
  app.decorate(kServicesOnly, true)
  if (isRepair) app.decorate(kRepair, true)
  try {
    await app.register(latchkey, options)
    await app.ready()
    await work(app.latchkey, settings)
  } finally {
    await app.close()
  }
}
