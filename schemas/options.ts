import { Type } from 'typebox'
import type { Static } from 'typebox'
import { hooks } from './options/hooks.js'
import { cookies, credentials, http } from './options/http.js'
import { identity } from './options/identity.js'
import { keys, rotation } from './options/keys.js'
import { passwords } from './options/passwords.js'
import { storage } from './options/storage.js'
import { tokens } from './options/tokens.js'
import type { Scope, ScopeCatalogue } from './scopes.js'
import type { UserIdsOption } from './user-ids.js'

// One schema gives the type, the check at boot, the environment variables and the tables in docs/reference. `env` is
// the variable that sets the option in the service. `expects` names the legal values in words, for the error and
// the table.

// The groups are in the order of the tables and of error messages. This type names each group, because an inferred type
// loses the doc comments of other files.
type Properties =
  & typeof identity
  & typeof storage
  & typeof keys
  & typeof tokens
  & typeof passwords
  & typeof credentials
  & typeof cookies
  & typeof rotation
  & typeof http
  & typeof hooks

/**
 * What `app.register(latchkey, options)` takes. Every option has a default. The service reads the same options from its
 * environment.
 */
export const Options: Type.TObject<Properties> = Type.Object({
  ...identity,
  ...storage,
  ...keys,
  ...tokens,
  ...passwords,
  ...credentials,
  ...cookies,
  ...rotation,
  ...http,
  ...hooks
}, { additionalProperties: false })

// What an app can declare is written out, because a type inferred from the schema is fixed when this package is
// compiled, before an app declares its scopes and its ids.

/** The options of the plugin. */
export interface LatchkeyOptions extends Omit<Static<typeof Options>, 'scopes' | 'roles' | 'userIds'>, UserIdsOption {
  /** Your own scopes, each with a description, in addition to the built-in ones. Default none. */
  scopes?: ScopeCatalogue
  /** Names for sets of scopes, for example `{ editor: ['items:read', 'items:write'] }`. Default none. */
  roles?: Readonly<Record<string, readonly Scope[]>>
}

/** The options that are on in the service and off in the plugin, because only a service needs them. */
export const SERVICE_DEFAULTS = {
  docs: true,
  securityHeaders: true,
  shedLoad: true,
  metrics: true,
  forwardAuth: true
} as const satisfies LatchkeyOptions

export { DURATION_PATTERN } from './options/formats.js'
export { ServiceOptions } from './options/service.js'
export type { ServiceSettings } from './options/service.js'
