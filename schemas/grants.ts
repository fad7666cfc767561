import { Type } from 'typebox'
import type { Static, TObject } from 'typebox'
import { Password, RefreshToken, Username } from './common.js'
import { EXAMPLE } from './examples.js'

/** Describes a grant type for everything that lists it. `lib/grants/` has a file for each, with its code. */
interface GrantTypeDescription {
  /** The members of the body. Every grant type also has `scope` and the credentials of the client. */
  parameters: TObject
  /** A registered client may use the grant type if its `grants` contain this entry. */
  allowedBy: string
  /** Whether only a registered client may use it. */
  needsClient: boolean
  /** Whether its credentials can be guessed. If so, the rate limit counts each attempt. */
  isGuessable: boolean
  /** Whether the server metadata lists it. */
  isListed: boolean
  example: { summary: string, value: object }
}

const TABLE = {
  password: {
    parameters: Type.Object({ username: Username, password: Password }),
    allowedBy: 'password',
    needsClient: false,
    isGuessable: true,
    // RFC 9700 section 2.4 rules this grant type out, so it is not advertised. First-party apps know about it.
    isListed: false,
    example: {
      summary: 'A user logs in',
      value: { username: EXAMPLE.username, password: EXAMPLE.password, scope: EXAMPLE.scope }
    }
  },
  refresh_token: {
    parameters: Type.Object({ refresh_token: RefreshToken }),
    // Every client that can start a session can also refresh it.
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
    // A client's secret is random, so nothing can be guessed, and a client may ask as often as it likes.
    isGuessable: false,
    isListed: true,
    example: {
      summary: 'A machine client gets a token of its own',
      value: { client_id: EXAMPLE.clientId, client_secret: EXAMPLE.clientSecret }
    }
  }
} as const satisfies Record<string, GrantTypeDescription>

/** A `grant_type` of `POST /token`. */
export type GrantTypeName = keyof typeof TABLE

/** The members of a body for a grant type: those that it needs, and the optional `scope`. */
export type GrantParameters<Name extends GrantTypeName> =
  Static<typeof TABLE[Name]['parameters']> & { readonly scope?: string }

/** The grant types that only a registered client may use. */
export type ClientGrantTypeName =
  { [Name in GrantTypeName]: typeof TABLE[Name]['needsClient'] extends true ? Name : never }[GrantTypeName]

/** Every grant type. */
export const GRANT_TYPES = Object.keys(TABLE) as GrantTypeName[]

/** Returns the description of a grant type. */
export function describeGrantType (name: GrantTypeName): GrantTypeDescription {
  return TABLE[name]
}

/** An entry in the `grants` of a registered client. */
export type ClientGrant = typeof TABLE[GrantTypeName]['allowedBy']

/** Every entry that `grants` can have, sorted. */
export const CLIENT_GRANTS: readonly ClientGrant[] =
  [...new Set(GRANT_TYPES.map(name => TABLE[name].allowedBy))].sort()
