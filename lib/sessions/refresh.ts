import type { User } from '../../schemas/host.js'
import { assertCurrent } from '../clients/rows.js'
import type { Client } from '../clients/clients.js'
import { LatchkeyError } from '../errors.js'
import { FIRST_PARTY } from '../identity/client-ids.js'
import { isNarrower, parseScope } from '../identity/scopes.js'
import { anonymous, asUser } from '../ledger/events.js'
import type { Write } from '../revocation/writing.js'
import { endSession } from '../revocation/session-ending.js'
import { endClosed } from './closed-account.js'
import { accountChanged, dateOf } from './context.js'
import type { SessionContext } from './context.js'
import type { Grant, Issuing, Prepared } from './issued.js'
import { findAuthentic, isLive, standingOf } from './refresh-verdict.js'
import { findSession, noteUse, rotateSession } from './rows.js'
import type { SessionRow } from './rows.js'

/**
 * What a refresh decided inside its transaction. Refusals are thrown outside it. Thrown inside, they would undo the end
 * of the session.
 */
type Outcome =
  | { grant: Grant }
  | { refused: 'invalid' | 'scope' | 'changed' }

/** What a refresh decides on. */
interface Question {
  session: SessionRow
  user: User
  /** The generation of the refresh token. */
  generation: number
  /** Undefined if the request asks for more than was granted. */
  prepared: Prepared | undefined
  /** Milliseconds. */
  askedAt: number
}

/** See `Sessions.refresh`. */
export type Refresh =
  (refreshToken: string, request?: { client?: Client, scope?: string, address?: string }) => Promise<Grant>

/** Creates `Sessions.refresh`. */
export function createRefresh (context: SessionContext, { prepare, toGrant }: Issuing): Refresh {
  const {
    store, clock, follower, revocations, users, builtInUsers, claims, refreshKeys, status, refreshIdleTtl, refreshGrace
  } = context
  /** Whether the host's code must run, before the transaction. Everything else is read once, inside it. */
  const asksHost = builtInUsers === undefined || claims !== undefined

  /**
   * Prepares a grant of the scopes that the session was granted and the account still has. Returns undefined if the
   * request asks for more, or if there is no account.
   */
  async function prepareFor (
    session: SessionRow, account: User | null, scope: string | undefined
  ): Promise<Prepared | undefined> {
    const granted = account === null ? [] : parseScope(session.scope).filter(name => account.scopes.includes(name))
    return account === null || !isNarrower(granted, scope) ? undefined : await prepare(account, granted, scope)
  }

  async function decide (
    { trx, now }: Pick<Write, 'trx' | 'now'>, { session, user, generation, prepared, askedAt }: Question
  ): Promise<Outcome | 'end'> {
    const standing = standingOf(session, generation, { now, refreshGrace })
    if (standing === 'reused') return 'end'

    if (prepared === undefined) return { refused: 'scope' }
    // The account has lost a scope since the host was asked, so the prepared grant has more than the account. Nothing
    // was written yet, so the client can try again.
    if (!prepared.scopes.every(name => user.scopes.includes(name))) return { refused: 'changed' }
    const issuedAt = dateOf(context, { askedAt, now })
    if (standing === 'retry') {
      await noteUse(trx, session.id, now)
      return { grant: toGrant({ session, user, prepared, issuedAt }) }
    }

    const rotated = {
      generation: generation + 1,
      rotated_at: now,
      last_used_at: now,
      idle_expires_at: Math.min(now + refreshIdleTtl, session.expires_at)
    }
    // The store runs one writer at a time, so this race cannot be lost. Even if an engine broke that promise, one token
    // must not get two successors.
    if (!await rotateSession(trx, session, rotated)) return { refused: 'invalid' }
    // The session may have begun before status lists were switched on.
    const place = session.status_list === null ? await status?.give(trx, now) : undefined
    if (place !== undefined) {
      await trx.updateTable('latchkey_sessions').set(place).where('id', '=', session.id).execute()
    }
    return { grant: toGrant({ session: { ...session, ...rotated, ...place }, user, prepared, issuedAt }) }
  }

  return async function refresh (refreshToken, { client, scope, address } = {}) {
    const found = await store.read(db => findAuthentic(db, refreshKeys, refreshToken))
    // A client that keeps sending the token of a dead session must not keep the only writer busy.
    if (found === undefined || !isLive(found.session, clock.now())) throw new LatchkeyError('invalid_refresh_token')
    const { session: known, generation } = found
    if (known.client_id !== (client?.id ?? FIRST_PARTY)) throw new LatchkeyError('invalid_refresh_token')
    // Reads what is in the store up to now. All of it is older than the answers of the host from here on.
    await follower.refresh()
    const askedAt = clock.now()
    const account = asksHost ? await users.find(known.user_id) : null
    const asked = asksHost ? await prepareFor(known, account, scope) : undefined

    const outcome = await revocations.write<Outcome>(async write => {
      const { trx, now, record } = write
      if (client !== undefined) await assertCurrent(trx, client)
      const session = await findSession(trx, known.id)
      if (session === undefined || !isLive(session, now)) return { refused: 'invalid' }
      const user = builtInUsers === undefined ? account : await builtInUsers.findIn(trx, session.user_id)
      const about = { subject: session.user_id, sessionId: session.id, clientId: session.client_id }
      if (user === null) {
        await endClosed(write, session)
        return { refused: 'invalid' }
      }
      const prepared = asksHost ? asked : await prepareFor(session, user, scope)
      const decision = await decide(write, { session, user, generation, prepared, askedAt })
      if (decision === 'end') {
        await endSession(write, { userId: session.user_id, sessionId: session.id })
        await record({ type: 'refresh_token_reuse', actor: anonymous(address ?? null), ...about })
        return { refused: 'invalid' }
      }
      if ('grant' in decision) await record({ type: 'refresh', actor: asUser(user.id, address ?? null), ...about })
      return decision
    })

    if ('grant' in outcome) return outcome.grant
    if (outcome.refused === 'changed') throw accountChanged()
    if (outcome.refused === 'scope') throw new LatchkeyError('invalid_scope')
    throw new LatchkeyError('invalid_refresh_token')
  }
}
