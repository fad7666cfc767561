import type { Audit } from './ledger/audit.js'
import type { Clients } from './clients/clients.js'
import type { RoleDefinitions } from './identity/roles.js'
import type { Keys } from './keys/administration.js'
import type { Revocations } from './revocation/revocations.js'
import type { PersonalAccessTokens } from './personal-access-tokens/personal-access-tokens.js'
import type { Sessions } from './sessions/sessions.js'
import type { Tokens } from './tokens/tokens.js'
import type { Users } from './users/users.js'

/** The services behind the routes, which the command line uses too. `app.latchkey` adds the logins of a request. */
export interface Latchkey {
  /** The built-in table of users. Throws where the host has accounts of its own (option `users`). */
  readonly users: Users
  readonly sessions: Sessions
  /** The long-lived credentials that users create for their programs. */
  readonly personalAccessTokens: PersonalAccessTokens
  /** The registered machine clients. */
  readonly clients: Clients
  readonly revocations: Revocations
  readonly tokens: Tokens
  /** The audit trail. */
  readonly audit: Audit
  /** The keys that sign and verify access tokens. */
  readonly keys: Keys
  /** The name and description of every scope. */
  readonly scopes: Readonly<Record<string, string>>
  /** The scopes of each role. */
  readonly roles: RoleDefinitions
}
