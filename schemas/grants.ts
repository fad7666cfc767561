import { Type } from 'typebox'
import type { Static, TObject } from 'typebox'
import { Password, RefreshToken, Username } from './common.js'
import { EXAMPLE } from './examples.js'

/** What a grant type is, for everything that lists it. `lib/grants/` has a file for each, with what it does. */
interface GrantTypeDescription {
  /** Its own members of the body. `scope` and the credentials of the client belong to every grant type. */
  parameters: TObject
  /** The entry in the `grants` of a registered client that allows it. */
  allowedBy: string
  /** Whether only a registered client may use it. */
  needsClient: boolean
  /** Whether its credentials can be guessed. If so, the rate limit counts each attempt. */
  isGuessable: boolean
  /** Whether the server's metadata list it. */
  isListed: boolean
  example: { summary: string, value: object }
}

const TABLE = {
  password: {
    parameters: Type.Object({ username: Username, password: Password }),
    allowedBy: 'password',
    needsClient: false,
    isGuessable: true,
    // RFC 9700 section 2.4. First-party apps know of it.
    isListed: false,
    example: {
      summary: 'A user logs in',
      value: { username: EXAMPLE.username, password: EXAMPLE.password, scope: EXAMPLE.scope }
    }
  },
  refresh_token: {
    parameters: Type.Object({ refresh_token: RefreshToken }),
    // Every client that can start a session can go on with it.
    allowedBy: 'password',
    needsClient: false,
    // Many people may refresh from one address.
    isGuessable: false,
    isListed: true,
    example: {
      summary: 'A refresh token is exchanged for its successor',
      value: { refresh_token: EXAMPLE.refreshToken }
    }
  },
  client_credentials: {
    parameters: Type.Object({}),
    allowedBy: 'client_credentials',
    needsClient: true,
    // A client's secret is random. A client may ask as often as it likes.
    isGuessable: false,
    isListed: true,
    example: {
      summary: 'A machine client, for itself',
      value: { client_id: EXAMPLE.clientId, client_secret: EXAMPLE.clientSecret }
    }
  }
} as const satisfies Record<string, GrantTypeDescription>

/** A `grant_type` of `POST /token`. */
export type GrantTypeName = keyof typeof TABLE

/** The members that a grant type needs, and those that every grant type may have. */
export type GrantParameters<Name extends GrantTypeName> =
  Static<typeof TABLE[Name]['parameters']> & { readonly scope?: string }

/** The grant types that only a registered client may use. */
export type ClientGrantTypeName =
  { [Name in GrantTypeName]: typeof TABLE[Name]['needsClient'] extends true ? Name : never }[GrantTypeName]

/** Every grant type. */
export const GRANT_TYPES = Object.keys(TABLE) as GrantTypeName[]

/** The row of the table for `name`. */
export function describeGrantType (name: GrantTypeName): GrantTypeDescription {
  return TABLE[name]
}

/** What a client may be registered for. */
export type ClientGrant = typeof TABLE[GrantTypeName]['allowedBy']

/** The same as a list, sorted. */
export const CLIENT_GRANTS: readonly ClientGrant[] =
  [...new Set(GRANT_TYPES.map(name => TABLE[name].allowedBy))].sort()
