import { Type } from 'typebox'
import type { Static } from 'typebox'
import { DateTime, PageLimit, Scope } from './common.js'
import { EXAMPLE } from './examples.js'
import { CLIENT_GRANTS } from './grants.js'

/** The prefix of every client id. No user id has it. */
export const CLIENT_ID_PREFIX = 'lkc_'

const ClientId = Type.String({
  pattern: `^${CLIENT_ID_PREFIX}[0-9a-f]{32}$`,
  description: 'The `client_id`, which Latchkey generates.'
})

const Grants = Type.Array(Type.Enum([...CLIENT_GRANTS]), {
  minItems: 1,
  uniqueItems: true,
  description: 'The grants that the client may use at `POST /token`. Default: client_credentials, or password if the ' +
    'client is public.'
})

const Public = Type.Boolean({
  description: 'Whether the client has no secret (RFC 6749 section 2.1), for example a page or a mobile app. It can ' +
    'use only the grant password.'
})

export const MAX_CLIENT_NAME_LENGTH = 128

/**
 * A name for people to read. It need not be unique, because the id is. `lib/clients/names.ts` rejects invisible
 * characters.
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
  public: false,
  created_at: EXAMPLE.earlier,
  secret_changed_at: EXAMPLE.earlier
}

/** A machine client, as an administrator sees it. */
export const ClientView = Type.Object({
  id: ClientId,
  name: Type.String(),
  scope: Scope,
  grants: Grants,
  public: Public,
  created_at: DateTime,
  secret_changed_at: DateTime
}, { title: 'Client', description: 'A machine client.', examples: [EXAMPLE_CLIENT] })
export type ClientView = Static<typeof ClientView>

/** The same with its secret, for the one response that shows it. */
export const ClientWithSecret = Type.Object(
  {
    ...ClientView.properties,
    secret: Type.String({ description: 'The `client_secret`. It is shown only once, because only its hash is stored.' })
  },
  {
    title: 'ClientWithSecret',
    description: 'A machine client with its secret.',
    examples: [{ ...EXAMPLE_CLIENT, secret: EXAMPLE.clientSecret }]
  }
)

/** The response of `POST /clients`. */
export const AddedClient = Type.Object(
  {
    ...ClientView.properties,
    secret: Type.Optional(Type.String({
      description: 'The `client_secret`. It is shown only once, because only its hash is stored. Absent if the ' +
        'client is public.'
    }))
  },
  {
    title: 'AddedClient',
    description: 'A registered client, with its secret if it has one.',
    examples: [{ ...EXAMPLE_CLIENT, secret: EXAMPLE.clientSecret }]
  }
)

/** A page of clients, oldest first. */
export const ClientPage = Type.Object(
  {
    clients: Type.Array(ClientView),
    next: Type.Union([
      Type.String({ description: 'The `cursor` of the next page, or null on the last page.' }),
      Type.Null()
    ])
  },
  {
    title: 'ClientPage',
    description: 'A page of clients, oldest first.',
    examples: [{ clients: [EXAMPLE_CLIENT], next: null }]
  }
)

/** The query of `GET /clients`. */
export const ClientQuery = Type.Object(
  { cursor: Type.Optional(ClientId), limit: Type.Optional(PageLimit) },
  { additionalProperties: false }
)

/** The body of `POST /clients`. */
export const ClientRequest = Type.Object({
  name: ClientName,
  scope: Type.Optional(Scope),
  grants: Type.Optional(Grants),
  public: Type.Optional(Public)
}, { title: 'NewClient', additionalProperties: false, examples: [{ name: 'billing', scope: 'tokens:introspect' }] })

export const ClientParams = Type.Object({ id: ClientId })
