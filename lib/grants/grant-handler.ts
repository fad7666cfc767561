import type { ClientGrantTypeName, GrantParameters, GrantTypeName } from '../../schemas/grants.js'
import type { Client, Clients } from '../clients/clients.js'
import type { Grant } from '../sessions/issued.js'
import type { LogIn, Sender } from '../sessions/login.js'
import type { Sessions } from '../sessions/sessions.js'
import type { AccessGrant } from '../tokens/tokens.js'

/** What `POST /token` issues. It has a refresh token only if there is a session. */
export type Issued = AccessGrant & Partial<Pick<Grant, 'refreshToken'>>

/** The services behind the grant types. */
export interface GrantServices {
  logIn: LogIn
  sessions: Pick<Sessions, 'refresh'>
  clients: Pick<Clients, 'issue'>
}

/** The party that asks for a grant. `client` has authenticated. It is undefined for a first-party app. */
export interface Requester<Registered = Client | undefined> {
  client: Registered
  sender: Sender
}

/**
 * Exchanges the parameters of a grant type for a grant. It runs only if the client may use the grant type and all
 * required parameters are present.
 */
export type GrantHandler<Name extends GrantTypeName> =
  (
    parameters: GrantParameters<Name>,
    requester: Name extends ClientGrantTypeName ? Requester<Client> : Requester,
    services: GrantServices
  ) => Promise<Issued>
