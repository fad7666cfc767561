import type { Latchkey } from '../lib/latchkey.js'
import type { Settings } from '../lib/options/options.js'
import { readConfiguration } from './configuration.js'
import { CommandError } from './failure.js'
import { createWarningLines } from './log-lines.js'

// The plugin is loaded only if a command needs it, which saves `--help` and usage errors half a second.

/**
 * Opens the services behind the routes, without routes and without listening, and closes them when `work` is done. They
 * use the same database as the service, which may be running.
 * @param options.isRepair - opens the services even if the secret opens no key, for commands that find and remove
 *   damaged keys.
 * @param options.mayCreate - creates the database if it does not exist. Without it, a mistyped path is an error.
 */
export async function withLatchkey (
  work: (latchkey: Latchkey, settings: Settings) => Promise<void>,
  { isRepair = false, mayCreate = false } = {}
): Promise<void> {
  const { options, check } = await readConfiguration()
  const settings = check()
  if (settings.database === ':memory:') {
    throw new CommandError(
      'no_database',
      "LATCHKEY_DATABASE is ':memory:', which no other process can open: set it to the path of the service's database"
    )
  }
  const [{ fastify }, { default: latchkey }, { kExistingDatabase, kRepair, kServicesOnly }] = await Promise.all([
    import('fastify'),
    import('../app.js'),
    import('../plugins/settings.js')
  ])
  const app = fastify({ logger: { level: 'warn', stream: createWarningLines(process.stderr) } })
  app.decorate(kServicesOnly, true)
  if (!mayCreate) app.decorate(kExistingDatabase, true)
  if (isRepair) app.decorate(kRepair, true)
  try {
    await app.register(latchkey, options)
    await app.ready()
    await work(app.latchkey, settings)
  } finally {
    await app.close()
  }
}
