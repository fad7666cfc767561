import type { Actor } from '../schemas/events.js'
import { HOST } from '../lib/ledger/events.js'
import type { Revocations } from '../lib/revocation/revocations.js'

/** Writes a rule for one token that belongs to no session, as the end of such a token does. */
export async function revokeToken (
  revocations: Revocations, tokenId: string, expiresAt: number, by: Actor = HOST
): Promise<void> {
  if (revocations.isTokenRevoked(tokenId)) return
  await revocations.write([], async ({ revoke, record }) => {
    await revoke.token(tokenId, null, expiresAt)
    await record({ type: 'token_revoked', actor: by, details: { tokenId } })
  })
}
