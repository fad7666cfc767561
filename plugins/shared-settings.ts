import fp from 'fastify-plugin'
import { cannotJoin, toSharedSettings } from '../lib/options/shared.js'
import { engineOf } from '../lib/store/engines.js'
import { replaceSettings, shareSettings } from '../lib/store/settings.js'
import { kStore } from './database.js'
import { kServicesOnly, kSettings } from './settings.js'

/**
 * Refuses to join the nodes of a database if the settings contradict theirs. It runs before everything that writes to
 * the database.
 */
export default fp(async function latchkeySharedSettings (app) {
  const [settings, store] = [app[kSettings], app[kStore]]
  // The command line issues no tokens, and may run without most of the options.
  if (!engineOf(settings.database).isShared || app.hasDecorator(kServicesOnly)) return
  const { required, expected } = toSharedSettings(settings)
  const differences = await shareSettings(store, { ...required, ...expected })
  const serious = differences.filter(({ name }) => Object.hasOwn(required, name))
  if (serious.length > 0) throw cannotJoin(serious)
  if (differences.length === 0) return
  app.log.warn({ differences }, 'this node has other settings than the nodes that started before it: ' +
    'give every node the same environment, unless you are changing it on purpose')
  await replaceSettings(store, differences)
}, { name: 'latchkey-shared-settings', fastify: '5.x', dependencies: ['latchkey-database'] })
