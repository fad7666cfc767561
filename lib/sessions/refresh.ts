import type { User } from '../../schemas/host.js'
import { assertCurrent } from '../clients/rows.js'
import type { Client } from '../clients/clients.js'
import { LatchkeyError } from '../errors.js'
import { FIRST_PARTY } from '../identity/client-ids.js'
import { formatScope, isNarrower, parseScope } from '../identity/scopes.js'
import { anonymous, asUser } from '../ledger/events.js'
import type { Write } from '../revocation/writing.js'
import { endSession } from '../revocation/session-ending.js'
import { exclusive, shared } from '../store/lock.js'
import type { RotatedSession } from '../store/rotation.js'
import { endClosed } from './closed-account.js'
import { accountChanged, dateOf } from './context.js'
import type { SessionContext } from './context.js'
import type { Grant, Issuing, Prepared } from './issued.js'
import { readRefreshToken } from './refresh-token.js'
import type { RefreshTokenParts } from './refresh-token.js'
import { isLive, standingOf } from './refresh-verdict.js'
import { findSession, isSoundSession, noteUse, rotateSession } from './rows.js'
import type { SessionRow } from './rows.js'

/**
 * What a refresh decided inside its transaction. Refusals are thrown outside it. Thrown inside, they would undo the end
 * of the session.
 */
type Outcome =
  | { grant: Grant }
  | { refused: 'invalid' | 'scope' | 'changed' | 'raced' }

/** What a refresh decides on. */
interface Question {
  session: SessionRow
  user: User
  /** The generation of the refresh token. */
  generation: number
  /** Undefined if the request asks for more than was granted. */
  prepared: Prepared | undefined
  /** Milliseconds. */
  issuedAt: number
}

/** A refresh token of ours, and the request that presents it. */
interface Presented extends RefreshTokenParts {
  client: Client | undefined
  scope: string | undefined
  address: string | undefined
}

/** What was read before the session is rotated, if the host's code decides on the grant. */
interface Asked {
  session: SessionRow
  account: User | null
  prepared: Prepared | undefined
  /** Milliseconds. */
  askedAt: number
  /** From `Revocations.clearFrom`, before the host was asked. */
  clearFrom: number
}

/** See `Sessions.refresh`. */
export type Refresh =
  (refreshToken: string, request?: { client?: Client, scope?: string, address?: string }) => Promise<Grant>

/** Creates `Sessions.refresh`. */
export function createRefresh (context: SessionContext, { prepare, toGrant }: Issuing): Refresh {
  const {
    store, clock, ledger, follower, revocations, users, builtInUsers, claims, refreshKeys, status, refreshIdleTtl, refreshGrace
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
    { trx, now }: Pick<Write, 'trx' | 'now'>, { session, user, generation, prepared, issuedAt }: Question
  ): Promise<Outcome | 'end'> {
    const standing = standingOf(session, generation, { now, refreshGrace })
    if (standing === 'reused') return 'end'

    if (prepared === undefined) return { refused: 'scope' }
    // The account has lost a scope since the host was asked, so the prepared grant has more than the account. Nothing
    // was written yet, so the client can try again.
    if (!prepared.scopes.every(name => user.scopes.includes(name))) return { refused: 'changed' }
    // No token of the session is newer than its last use.
    const usedAt = Math.max(now, issuedAt)
    if (standing === 'retry') {
      await noteUse(trx, session.id, usedAt)
      return { grant: toGrant({ session, user, prepared, issuedAt }) }
    }

    const rotated = {
      generation: generation + 1,
      rotated_at: now,
      last_used_at: usedAt,
      idle_expires_at: Math.min(now + refreshIdleTtl, session.expires_at)
    }
    // A rotation in one statement may have come first, because it takes only the lock of the row. One token must not
    // get two successors.
    if (!await rotateSession(trx, session, rotated)) return { refused: 'raced' }
    // The session may have begun before status lists were switched on.
    const place = session.status_list === null ? await status?.give(trx, now) : undefined
    if (place !== undefined) {
      await trx.updateTable('latchkey_sessions').set(place).where('id', '=', session.id).execute()
    }
    return { grant: toGrant({ session: { ...session, ...rotated, ...place }, user, prepared, issuedAt }) }
  }

  /** Reads the session and asks the host's code about its account. Throws if the session is over. */
  async function ask ({ sessionId, nonce, client, scope }: Presented): Promise<Asked> {
    const session = await store.read(db => findSession(db, sessionId))
    // A client that keeps sending the token of a dead session must not begin a transaction.
    if (session?.nonce !== nonce || !isLive(session, clock.now())) throw new LatchkeyError('invalid_refresh_token')
    if (session.client_id !== (client?.id ?? FIRST_PARTY)) throw new LatchkeyError('invalid_refresh_token')
    // Reads what is in the store up to now. All of it is older than the answers of the host from here on.
    await follower.refresh()
    const askedAt = clock.now()
    const clearFrom = revocations.clearFrom({ userId: session.user_id, clientId: session.client_id })
    const account = asksHost ? await users.find(session.user_id) : null
    const prepared = asksHost ? await prepareFor(session, account, scope) : undefined
    return { session, account, prepared, askedAt, clearFrom }
  }

  /**
   * Rotates the session in one statement, if the engine can, and if that is all there is to decide. Returns undefined if
   * the full transaction must decide.
   */
  async function rotateAtOnce (presented: Presented, asked: Asked | undefined): Promise<Grant | undefined> {
    const { sessionId, nonce, generation, client, scope, address } = presented
    const isSimple = client === undefined && scope === undefined && (asked === undefined || asked.prepared !== undefined)
    if (store.rotate === undefined || !isSimple) return undefined
    const rotated = await store.rotate({
      sessionId,
      nonce,
      generation,
      clientId: FIRST_PARTY,
      refreshIdleTtl,
      needsStatus: status !== undefined,
      account: builtInUsers === undefined && asked !== undefined
        ? { isBuiltIn: false, userId: asked.session.user_id }
        : { isBuiltIn: true, scope: asked === undefined ? undefined : formatScope(asked.account?.scopes ?? []) }
    })
    if (rotated === undefined || !isSoundSession(rotated.session)) return undefined
    const { session, now } = rotated
    const user = asked === undefined ? toUser(rotated.account) : asked.account
    const prepared = asked === undefined ? await prepareFor(session, user, scope) : asked.prepared
    const issuedAt = dateOf(context, { askedAt: now, now: session.last_used_at, clearFrom: 0, ...asked })
    const holder = { userId: session.user_id, clientId: session.client_id }
    // A rule kills the new token. It may be newer than the rotation. If it is older, the clock was set back, and the
    // full transaction finds a later date.
    if (user === null || prepared === undefined || issuedAt < revocations.clearFrom(holder)) return undefined
    const about = { subject: session.user_id, sessionId, clientId: session.client_id }
    ledger.tell({ type: 'refresh', actor: asUser(user.id, address ?? null), ...about }, now)
    return toGrant({ session, user, prepared, issuedAt })
  }

  /** Decides in a transaction. */
  async function decideAll (presented: Presented, asked: Asked): Promise<Grant> {
    const { generation, client, scope, address } = presented
    const { session: known, account, askedAt, clearFrom } = asked
    const locks = [
      shared('user', known.user_id),
      exclusive('session', known.id),
      ...client === undefined ? [] : [shared('client', client.id)]
    ]
    const outcome = await revocations.write<Outcome>(locks, async write => {
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
      const prepared = asksHost ? asked.prepared : await prepareFor(session, user, scope)
      const issuedAt = dateOf(context, { askedAt, now, clearFrom, usedAt: session.last_used_at })
      const decision = await decide(write, { session, user, generation, prepared, issuedAt })
      if (decision === 'end') {
        await endSession(write, { userId: session.user_id, sessionId: session.id })
        await record({ type: 'refresh_token_reuse', actor: anonymous(address ?? null), ...about })
        return { refused: 'invalid' }
      }
      if ('grant' in decision) await record({ type: 'refresh', actor: asUser(user.id, address ?? null), ...about })
      return decision
    })

    if ('grant' in outcome) return outcome.grant
    if (outcome.refused === 'raced') return await decideAll(presented, asked)
    if (outcome.refused === 'changed') throw accountChanged()
    if (outcome.refused === 'scope') throw new LatchkeyError('invalid_scope')
    throw new LatchkeyError('invalid_refresh_token')
  }

  return async function refresh (refreshToken, { client, scope, address } = {}) {
    const parts = readRefreshToken(refreshKeys, refreshToken)
    if (parts === undefined) throw new LatchkeyError('invalid_refresh_token')
    const presented = { ...parts, client, scope, address }
    // Reads what is in the store up to now, or refuses if that is unknown.
    await follower.refresh()
    const asked = asksHost ? await ask(presented) : undefined
    return await rotateAtOnce(presented, asked) ?? await decideAll(presented, asked ?? await ask(presented))
  }
}

function toUser (account: RotatedSession['account']): User | null {
  return account === undefined
    ? null
    : { id: account.id, username: account.username, scopes: parseScope(account.scope) }
}
