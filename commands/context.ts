import type { Latchkey } from '../lib/latchkey.js'
import type { Settings } from '../lib/options/options.js'
import { readEnvironment } from './environment.js'
import { CommandError } from './failure.js'

// The plugin is loaded when a verb needs it: half a second that `--help` and a typing error need not wait.

/**
 * Opens the very services that the routes use, without the routes and without listening, and closes them when `work` is
 * done: on the same database, also while the service runs.
 * @param options.isRepair - opens even if the secret opens no key, for commands that find and remove damaged keys.
 */
export async function withLatchkey (
  work: (latchkey: Latchkey, settings: Settings) => Promise<void>,
  { isRepair = false } = {}
): Promise<void> {
  const { options } = await readEnvironment()
  const { readOptions } = await import('../lib/options/options.js')
  const settings = readOptions(options)
  if (settings.database === ':memory:') {
    throw new CommandError('no_database', "LATCHKEY_DATABASE is ':memory:', which no other process shares: give the path of the service's database")
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
