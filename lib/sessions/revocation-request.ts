import type { Client } from '../clients/clients.js'
import type { Actor } from '../../schemas/events.js'
import { FIRST_PARTY } from '../identity/client-ids.js'
import { LatchkeyError } from '../errors.js'
import { anonymous, asClient } from '../ledger/events.js'
import type { Tokens } from '../tokens/tokens.js'
import type { Sessions } from './sessions.js'

/** RFC 7009 section 2.1 requires an error. A 200 would mean that the token is dead. */
function assertHolds (holder: string, clientId: string): void {
  if (holder !== clientId) throw new LatchkeyError('token_of_another_client')
}

/** Creates the function behind `POST /revoke`: RFC 7009. */
export function createTokenRevocation ({ sessions, tokens, revokeKey }: {
  sessions: Pick<Sessions, 'endToken' | 'identify' | 'end'>
  tokens: Pick<Tokens, 'decode'>
  /** Revokes a personal access token by its value. Returns whether there was one. */
  revokeKey: (value: string, by: Actor) => Promise<boolean>
}) {
  /**
   * Ends an access token, or the session of a refresh token. Does nothing for unknown, expired and dead tokens. A
   * first-party app proves no identity, so every holder of its token may end it. Throws `token_of_another_client`.
   * @param client - has authenticated. Undefined for a first-party app.
   */
  return async function revokeToken (
    token: string, { client, address }: { client: Client | undefined, address: string }
  ): Promise<void> {
    const by = client === undefined ? anonymous(address) : asClient(client.id, address)
    const holder = client?.id ?? FIRST_PARTY
    // `token_type_hint` is not needed: the two kinds of tokens cannot be mistaken for each other.
    const claims = tokens.decode(token)
    if (claims !== undefined) {
      assertHolds(holder, claims.client_id)
      return await sessions.endToken(claims, by)
    }
    // Anyone who finds a personal access token in a log or a repository may revoke it.
    if (await revokeKey(token, by)) return
    // An older refresh token of the session counts too, because its holder wants to end the session.
    const session = await sessions.identify(token)
    if (session === undefined) return
    assertHolds(holder, session.clientId)
    await sessions.end(session.userId, session.sessionId, by)
  }
}
