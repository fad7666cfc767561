import type { Store } from './store.js'
import type { Queryable } from './tables.js'

/** Settings by name. */
export type Settings = Readonly<Record<string, string>>

/** A setting that has another value here than on the nodes that have used this database before. */
export interface Difference {
  name: string
  stored: string
  own: string
}

/** Returns the settings that the nodes of this database share. */
export async function readSettings (db: Queryable): Promise<Settings> {
  const rows = await db.selectFrom('latchkey_settings').select(['name', 'value']).orderBy('name').execute()
  return Object.fromEntries(rows.map(({ name, value }) => [name, value]))
}

/**
 * Stores the settings that no node has stored yet, and returns those that differ. If several nodes start at the same
 * moment, the first one decides.
 */
export async function shareSettings (store: Store, own: Settings): Promise<Difference[]> {
  let stored = await store.read(readSettings)
  const missing = Object.keys(own).filter(name => stored[name] === undefined)
  if (missing.length > 0) {
    stored = await store.transaction(async trx => {
      await trx.insertInto('latchkey_settings')
        .values(missing.map(name => ({ name, value: own[name] ?? '' })))
        .onConflict(conflict => conflict.column('name').doNothing())
        .execute()
      return await readSettings(trx)
    })
  }
  return Object.entries(own).flatMap(([name, value]) => {
    const known = stored[name] ?? value
    return known === value ? [] : [{ name, stored: known, own: value }]
  })
}

/** Replaces the stored values of these settings. */
export async function replaceSettings (store: Store, differences: readonly Difference[]): Promise<void> {
  await store.transaction(async trx => {
    for (const { name, own } of differences) {
      await trx.updateTable('latchkey_settings').set({ value: own }).where('name', '=', name).execute()
    }
  })
}

/** Deletes the settings. The next node that starts stores its own. Returns those that were stored. */
export async function forgetSettings (store: Store): Promise<Settings> {
  return await store.transaction(async trx => {
    const stored = await readSettings(trx)
    await trx.deleteFrom('latchkey_settings').execute()
    return stored
  })
}
