import type { User } from '../../schemas/host.js'
import { LatchkeyError } from '../errors.js'
import type { AuthenticatedUser } from '../identity/access-token.js'
import { parseScope } from '../identity/scopes.js'
import { asUser } from '../ledger/events.js'
import type { AccessGrant } from '../tokens/tokens.js'
import { endClosed } from './closed-account.js'
import { exclusive, shared } from '../store/lock.js'
import { accountChanged, asksHost as needsHost, dateOf } from './context.js'
import type { SessionContext } from './context.js'
import type { Issuing, Prepared } from './issued.js'
import { isLive } from './refresh-verdict.js'
import { findSession, noteUse } from './rows.js'
import type { SessionRow } from './rows.js'

/** What a verified access token of a session contains, with the id of the user as text. */
export type PresentedToken = Pick<AuthenticatedUser, 'scopes' | 'claims'> & { id: string, sessionId: string }

/** See `Sessions.reissue`. */
export type Reissue = (presented: PresentedToken, address?: string) => Promise<AccessGrant & { user: User }>

/** Creates `Sessions.reissue`. */
export function createReissue (context: SessionContext, { prepare, toGrant }: Issuing): Reissue {
  const { store, clock, follower, revocations, users, builtInUsers } = context
  const asksHost = needsHost(context)

  /**
   * A token with fewer scopes than the session gets no more of them, because its holder may not have the refresh token.
   */
  async function prepareFor (
    session: SessionRow, account: User | null, presented: PresentedToken
  ): Promise<Prepared | undefined> {
    if (account === null) return undefined
    const granted = parseScope(session.scope)
      .filter(name => account.scopes.includes(name) && presented.scopes.includes(name))
    return await prepare(account, granted, undefined)
  }

  return async function reissue (presented, address) {
    const { id: userId, sessionId, claims: { exp, gen: generation = 0 } } = presented
    const isOwn = (session: SessionRow | undefined, now: number): session is SessionRow =>
      session !== undefined && session.user_id === userId && isLive(session, now)

    const known = await store.read(db => findSession(db, sessionId))
    if (!isOwn(known, clock.now())) throw new LatchkeyError('token_revoked')
    await follower.refresh()
    const askedAt = clock.now()
    const clearFrom = revocations.clearFrom({ userId, clientId: known.client_id })
    const account = asksHost ? await users.find(userId) : null
    const asked = asksHost ? await prepareFor(known, account, presented) : undefined

    const grant = await revocations.write([shared('user', userId), exclusive('session', sessionId)], async write => {
      const { trx, now, record } = write
      const session = await findSession(trx, sessionId)
      if (!isOwn(session, now)) return undefined
      const user = builtInUsers === undefined ? account : await builtInUsers.findIn(trx, userId)
      if (user === null) {
        await endClosed(write, session)
        return undefined
      }
      const prepared = asksHost ? asked : await prepareFor(session, user, presented)
      // The account was reopened or lost a scope after the host's code ran.
      if (prepared === undefined || !prepared.scopes.every(name => user.scopes.includes(name))) throw accountChanged()
      const issuedAt = dateOf(context, { askedAt, now, clearFrom, usedAt: session.last_used_at })
      await noteUse(trx, session.id, Math.max(now, issuedAt))
      const about = { subject: userId, sessionId, clientId: session.client_id }
      await record({ type: 'token_reissued', actor: asUser(userId, address ?? null), ...about })
      // The caller has proved only that it received the generation of the presented token.
      return { ...toGrant({ session: { ...session, generation }, user, prepared, issuedAt }), latestExpiry: exp }
    })
    if (grant === undefined) throw new LatchkeyError('token_revoked')
    return grant
  }
}
