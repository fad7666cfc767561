import { Type } from 'typebox'
import type { Static } from 'typebox'
import { DateTime, PageLimit, Scope } from './common.js'
import { EXAMPLE } from './examples.js'
import { CLIENT_GRANTS } from './grants.js'

/** What every client's id begins with, and no user's. */
export const CLIENT_ID_PREFIX = 'lkc_'

const ClientId = Type.String({ pattern: `^${CLIENT_ID_PREFIX}[0-9a-f]{32}$`, description: 'The `client_id`; given by us.' })

const Grants = Type.Array(Type.Enum([...CLIENT_GRANTS]), {
  minItems: 1,
  uniqueItems: true,
  description: 'The grants that the client may use at `POST /token`. Default: client_credentials.'
})

export const MAX_CLIENT_NAME_LENGTH = 128

/**
 * A name for people to read. It need not be unique, because the id is. `lib/clients/names.ts` rejects invisible characters.
 */
export const ClientName = Type.String({
  minLength: 1,
  maxLength: MAX_CLIENT_NAME_LENGTH,
  description: 'A name for people to read, without invisible characters.'
})

const EXAMPLE_CLIENT = {
  id: EXAMPLE.clientId,
  name: 'billing',
  scope: 'tokens:introspect',
  grants: ['client_credentials'],
  created_at: EXAMPLE.earlier,
  secret_changed_at: EXAMPLE.earlier
}

/** A machine client, as an administrator may see it. */
export const ClientView = Type.Object({
  id: ClientId,
  name: Type.String(),
  scope: Scope,
  grants: Grants,
  created_at: DateTime,
  secret_changed_at: DateTime
}, { title: 'Client', description: 'A machine client.', examples: [EXAMPLE_CLIENT] })
export type ClientView = Static<typeof ClientView>

/** The same with its secret: after it was made, and never again. */
export const ClientWithSecret = Type.Object({
  ...ClientView.properties,
  secret: Type.String({ description: 'The `client_secret`. It is shown this once: only its hash is kept.' })
}, { title: 'ClientWithSecret', description: 'A machine client with its secret.', examples: [{ ...EXAMPLE_CLIENT, secret: EXAMPLE.clientSecret }] })

/** A page of clients, the oldest first. */
export const ClientPage = Type.Object({
  clients: Type.Array(ClientView),
  next: Type.Union([Type.String({ description: 'What to give as `cursor` for the next page; null on the last.' }), Type.Null()])
}, { title: 'ClientPage', description: 'A page of clients, the oldest first.', examples: [{ clients: [EXAMPLE_CLIENT], next: null }] })

/** The query of `GET /clients`. */
export const ClientQuery = Type.Object({ cursor: Type.Optional(ClientId), limit: Type.Optional(PageLimit) }, { additionalProperties: false })

/** The body of `POST /clients`. */
export const ClientRequest = Type.Object({
  name: ClientName,
  scope: Type.Optional(Scope),
  grants: Type.Optional(Grants)
}, { title: 'NewClient', additionalProperties: false, examples: [{ name: 'billing', scope: 'tokens:introspect' }] })

export const ClientParams = Type.Object({ id: ClientId })
