import { randomBytes } from 'node:crypto'
import fp from 'fastify-plugin'
import { createKeys } from '../lib/keys/administration.js'
import type { Keys } from '../lib/keys/administration.js'
import { openKeyring } from '../lib/keys/keyring.js'
import type { Keyring } from '../lib/keys/keyring.js'
import { createSecretFile, readSecretFile, secretFileOf } from '../lib/keys/secret-file.js'
import { deriveKeys } from '../lib/keys/secrets.js'
import type { Store } from '../lib/store/store.js'
import { isSteady } from '../lib/store/steady-time.js'
import { kClock, kFollower, kStore } from './database.js'
import { createJwtKeyMaker } from './adapters/jwt-key-maker.js'
import { kRevocations } from './revocations.js'
import { kRepair, kSettings } from './settings.js'

export const kKeyring = Symbol('latchkey.keyring')
export const kKeys = Symbol('latchkey.keys')
export const kRefreshKeys = Symbol('latchkey.refreshKeys')
export const kThrottleKeys = Symbol('latchkey.throttleKeys')

declare module 'fastify' {
  interface FastifyInstance {
    /** The keys that sign and verify access tokens. */
    [kKeyring]: Keyring
    /** The administration of these keys. */
    [kKeys]: Keys
    /** The first one makes refresh tokens. */
    [kRefreshKeys]: [Buffer, ...Buffer[]]
    /** The first one derives the names of buckets. */
    [kThrottleKeys]: [Buffer, ...Buffer[]]
  }
}

/**
 * Finds or makes the secret, derives the symmetric keys from it, opens the keys in the store with them, and replaces
 * the signing key if that is due.
 */
export default fp(async function latchkeyKeys (app) {
  const { secrets, database, algorithm, keyRotation: rotation, catalogue, issuer, audience } = app[kSettings]
  const [store, clock, follower, revocations] = [app[kStore], app[kClock], app[kFollower], app[kRevocations]]
  const [first, ...others] = deriveKeys(secrets ?? [await embeddedSecret(database, store)])
  app.decorate(kRefreshKeys, [first.refresh, ...others.map(({ refresh }) => refresh)])
  app.decorate(kThrottleKeys, [first.throttle, ...others.map(({ throttle }) => throttle)])
  const sealKeys: [Buffer, ...Buffer[]] = [first.seal, ...others.map(({ seal }) => seal)]
  const maker = createJwtKeyMaker({ issuer, audience })
  const keyring = await openKeyring({
    store,
    clock,
    follower,
    revocations,
    algorithm,
    sealKeys,
    maker,
    log: app.log,
    isRepair: app.hasDecorator(kRepair)
  })
  const keys = createKeys({ keyring, maker, clock, follower, revocations, algorithm, rotation, sealKeys, catalogue })
  app.decorate(kKeyring, keyring)
  app.decorate(kKeys, keys)
  if (await store.read(db => isSteady(db, clock.now()))) await keys.rotateIfDue()
}, { name: 'latchkey-keys', fastify: '5.x', dependencies: ['latchkey-revocations'] })

async function embeddedSecret (database: string, store: Store): Promise<string> {
  if (database === ':memory:') return randomBytes(32).toString('base64url')
  const file = secretFileOf(database)
  const secret = await readSecretFile(file)
  if (secret !== undefined) return secret
  // A new secret would not open the existing keys, and would hide that the old one is missing.
  const sealed = await store.read(db => db.selectFrom('latchkey_keys').select('kid').executeTakeFirst())
  if (sealed !== undefined) {
    throw new Error(
      `The secret file ${file} is missing, and the keys in ${database} do not open without it: ` +
      'restore it, or give the secret in the option secret (LATCHKEY_SECRET)'
    )
  }
  return await createSecretFile(file)
}
