import { randomBytes } from 'node:crypto'
import fp from 'fastify-plugin'
import { loadKeys } from '../lib/keys.js'
import type { SigningKey } from '../lib/keys.js'
import { createSecretFile, readSecretFile, secretFileOf } from '../lib/secret-file.js'
import { deriveKeys } from '../lib/secrets.js'
import type { Store } from '../lib/store/store.js'
import { kClock, kStore } from './database.js'
import { kSettings } from './settings.js'

export const kSigningKeys = Symbol('latchkey.signingKeys')
export const kRefreshKeys = Symbol('latchkey.refreshKeys')

declare module 'fastify' {
  interface FastifyInstance {
    [kSigningKeys]: SigningKey[]
    /** The first one signs. */
    [kRefreshKeys]: [Buffer, ...Buffer[]]
  }
}

/** Finds or makes the secret, derives the symmetric keys from it, and opens the signing keys in the store with them. */
export default fp(async function latchkeyKeys (app) {
  const { secrets, database, algorithm } = app[kSettings]
  const store = app[kStore]
  const [first, ...others] = deriveKeys(secrets ?? [await embeddedSecret(database, store)])
  app.decorate(kRefreshKeys, [first.refresh, ...others.map(({ refresh }) => refresh)])
  app.decorate(kSigningKeys, await loadKeys({
    store, clock: app[kClock], algorithm, sealKeys: [first.seal, ...others.map(({ seal }) => seal)]
  }))
}, { name: 'latchkey-keys', fastify: '5.x', dependencies: ['latchkey-database'] })

async function embeddedSecret (database: string, store: Store): Promise<string> {
  if (database === ':memory:') return randomBytes(32).toString('base64url')
  const file = secretFileOf(database)
  const secret = await readSecretFile(file)
  if (secret !== undefined) return secret
  // A new secret would not open the keys that are there, and would hide that the old one is missing.
  const sealed = await store.read(db => db.selectFrom('keys').select('kid').executeTakeFirst())
  if (sealed !== undefined) {
    throw new Error(`The secret file ${file} is missing, and the keys in ${database} do not open without it: restore it, or give the secret by the option secret (LATCHKEY_SECRET)`)
  }
  return await createSecretFile(file)
}
