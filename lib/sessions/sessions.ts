import type { Transaction } from 'kysely'
import type { Actor } from '../../schemas/events.js'
import type { ClaimsHook, User, UserDirectory } from '../../schemas/host.js'
import type { AccessTokenClaims } from '../identity/access-token.js'
import { findChangeable, isLimited } from '../users/authority.js'
import type { Principal } from '../users/authority.js'
import { FIRST_PARTY } from '../identity/client-ids.js'
import { assertCurrent } from '../clients/clients.js'
import type { Client } from '../clients/clients.js'
import type { Clock } from '../time/clock.js'
import { LatchkeyError } from '../errors.js'
import { anonymous, asUser, HOST, SYSTEM } from '../ledger/events.js'
import type { NewEvent } from '../ledger/events.js'
import { createGrants } from './issued.js'
import type { Grant, Prepared } from './issued.js'
import type { Ledger } from '../ledger/ledger.js'
import type { Revocations } from '../revocation/revocations.js'
import type { Follower } from '../store/change-follower.js'
import { assertMayGrant, formatScope, isNarrower, parseScope } from '../identity/scopes.js'
import { closeSessions, endOtherSessions, endSession, inSteps } from '../revocation/session-ending.js'
import { makeRoom } from './limit.js'
import { listSessions } from './list.js'
import type { Session } from './list.js'
import { createSessionRow, findSession, noteUse, rotateSession } from './rows.js'
import { findAuthentic, isLive, standingOf } from './refresh-verdict.js'
import type { SessionRow } from './rows.js'
import { purgeSessions } from './purge.js'
import type { StatusReferences } from '../status-lists/references.js'
import type { Tables } from '../store/tables.js'
import type { Store } from '../store/store.js'
import type { Place } from '../throttle/throttle.js'
import { createTokenEnding } from '../revocation/token-ending.js'
import type { StoredUser, Users } from '../users/users.js'

/** The sessions: one row each, whatever number of times they are refreshed. */
export interface Sessions {
  /**
   * Begins a session for a user who has just authenticated. If the user already has the maximum number of sessions, the
   * least recently used one ends. Throws `invalid_scope`, or `invalid_credentials` if the account was closed in the
   * meantime, or `invalid_client` if the client was changed since it authenticated.
   * @param request.client - the registered client that the session is for, which gets no more than its own scopes.
   * Default: none, a first-party app.
   * @param request.askedAt - milliseconds; when the user was asked for, before the password was looked at. Default:
   * now.
   * @param request.place - from where: attempts from there are no stranger's as long as the row is kept. Default: none.
   */
  start (user: User & Partial<Pick<StoredUser, 'passwordChangedAt'>>, request?: { client?: Client, askedAt?: number, scope?: string, userAgent?: string, address?: string, place?: Place }): Promise<Grant>
  /**
   * Exchanges a refresh token for its successor. The immediate predecessor gets the same successor within the grace: a lost
   * race, a lost response and a retry all end there. Anything older is reuse, and ends the session.
   * Throws `invalid_refresh_token`, or `invalid_scope` (without rotating) where `scope` asks for more than was granted.
   * @param request.client - the registered client that asks. A session is refreshed by the client that it is for and by nobody else (RFC 6749
   * section 6); to others every token of it is invalid, and nothing happens to it. Default: none, a first-party app.
   */
  refresh (refreshToken: string, request?: { client?: Client, scope?: string, address?: string }): Promise<Grant>
  /**
   * The session that a refresh token belongs to, whether that token is current or not; undefined where it is not ours or the session
   * was ended. One that is not `live` has expired: it gives no right to anything, but an access token of it may live, and whoever wants
   * it ended must be able to.
   */
  identify (refreshToken: string): Promise<{ sessionId: string, userId: string, clientId: string, live: boolean } | undefined>
  /**
   * Ends one access token. A session that has had a thousand of its tokens ended within about a day is ended whole, and of a client that
   * did so with its own all are ended: nobody must fill the store with rules, and the index with them.
   */
  endToken (claims: AccessTokenClaims, by?: Actor): Promise<void>
  /**
   * The user's live sessions, the last used first, at most 500.
   * @param currentId - a session that must not be left out if there are more. Default: none.
   */
  list (userId: string, currentId?: string): Promise<Session[]>
  /** Ends one session of the user; tells whether it was live. Its refresh and access tokens are dead when the promise resolves. */
  end (userId: string, sessionId: string, by?: Actor): Promise<boolean>
  /** Ends every session of the user but one; all where the token that asks belongs to none. Returns how many were live. */
  endOthers (userId: string, sessionId: string | undefined, by?: Actor): Promise<number>
  /**
   * Ends every session of the user, and every access token. Returns how many sessions were live. Throws `insufficient_scope` or `not_found` where
   * another user or a client asks for it who may not change that user.
   */
  endAll (userId: string, by?: Principal): Promise<number>
  /** Deletes up to `limit` sessions that are over, with their access tokens, for more than a day; tells whether there may be more. */
  purge (limit: number): Promise<boolean>
}

/** What a refresh decided inside its transaction. The refusals are thrown outside: thrown inside they would undo the ending of the session. */
type Outcome =
  | { grant: Grant }
  | { refused: 'invalid' | 'scope' | 'changed' }

function accountChanged (): LatchkeyError {
  return new LatchkeyError('account_changed', { retryAfter: 1 })
}

/** Nothing if no session ended: a user could repeat that without end. */
function endedEvents (userId: string, sessions: number, by: Actor): NewEvent[] {
  return sessions === 0 ? [] : [{ type: 'sessions_ended', actor: by, subject: userId, details: { sessions } }]
}

/** Creates the sessions over the store. All lifetimes are milliseconds. */
export function createSessions ({
  store, clock, ledger, follower, revocations, users, builtInUsers, claims, refreshKeys, status,
  maxSessions, sessionTtl, refreshIdleTtl, refreshGrace
}: {
  store: Store
  clock: Clock
  ledger: Ledger
  follower: Follower
  revocations: Revocations
  users: UserDirectory
  /** The built-in table where it is what `users` is: it can be read inside a transaction, the host's accounts cannot. */
  builtInUsers: Users | undefined
  claims: ClaimsHook | undefined
  /** The first one signs. */
  refreshKeys: readonly [Buffer, ...Buffer[]]
  /** Undefined: no status list speaks of them. */
  status: StatusReferences | undefined
  /** How many sessions a user may have. */
  maxSessions: number
  sessionTtl: number
  refreshIdleTtl: number
  refreshGrace: number
}): Sessions {
  const { prepare, toGrant } = createGrants({ claims, refreshKeys, status })
  /** Whether somebody else's code must be asked before a transaction. What there is to know else is read inside it, once. */
  const asksHost = builtInUsers === undefined || claims !== undefined

  /**
   * The time that a token is dated by. The host's accounts are asked before the transaction: a rule that was written since must
   * kill what is made of their answer. The built-in ones are read inside it, after every rule before it.
   */
  function dateOf (askedAt: number, now: number): number {
    return builtInUsers === undefined ? askedAt : now
  }

  /** What the host's accounts may do is asked before the transaction: it must not wait for somebody else's code. */
  async function assertMayEnd (userId: string, by: Principal): Promise<void> {
    const account = await users.find(userId)
    // One that may not log in any more can have sessions all the same.
    if (account !== null) assertMayGrant(by.scopes ?? [], account.scopes)
    else if ((await store.read(db => listSessions(db, { userId }, clock.now()))).length === 0) throw new LatchkeyError('not_found', { message: 'There is no such user.' })
  }

  /** What the account may still have of what the session was granted; undefined where more is asked for. */
  async function prepareFor (session: SessionRow, account: User | null, scope: string | undefined): Promise<Prepared | undefined> {
    const granted = account === null ? [] : parseScope(session.scope).filter(name => account.scopes.includes(name))
    return account === null || !isNarrower(granted, scope) ? undefined : await prepare(account, granted, scope)
  }

  async function decide (trx: Transaction<Tables>, session: SessionRow, user: User, generation: number, { prepared, askedAt, now }: { prepared: Prepared | undefined, askedAt: number, now: number }): Promise<Outcome | 'end'> {
    const standing = standingOf(session, generation, { now, refreshGrace })
    if (standing === 'reused') return 'end'

    if (prepared === undefined) return { refused: 'scope' }
    // The account lost a scope since it was asked: what was prepared is more than it has. Nothing has moved; the client asks again.
    if (!prepared.scopes.every(name => user.scopes.includes(name))) return { refused: 'changed' }
    const issuedAt = dateOf(askedAt, now)
    if (standing === 'retry') {
      await noteUse(trx, session.id, now)
      return { grant: toGrant(session, user, prepared, issuedAt) }
    }

    const rotated = {
      generation: generation + 1,
      rotated_at: now,
      last_used_at: now,
      idle_expires_at: Math.min(now + refreshIdleTtl, session.expires_at)
    }
    // The store runs one writer at a time, so this cannot be lost; an engine that broke its promise must not give two successors.
    if (!await rotateSession(trx, session, rotated)) return { refused: 'invalid' }
    // One that began before status lists were switched on.
    const place = session.status_list === null ? await status?.give(trx, now) : undefined
    if (place !== undefined) await trx.updateTable('sessions').set(place).where('id', '=', session.id).execute()
    return { grant: toGrant({ ...session, ...rotated, ...place }, user, prepared, issuedAt) }
  }

  return {
    async start (user, { client, askedAt = clock.now(), scope, userAgent, address, place } = {}) {
      const clientId = client?.id ?? FIRST_PARTY
      const prepared = await prepare(user, client === undefined ? user.scopes : user.scopes.filter(name => client.scopes.includes(name)), scope)
      const grant = await inSteps<Grant | undefined>(revocations, async write => {
        const { trx, now, record } = write
        if (client !== undefined) await assertCurrent(trx, client)
        // As of now: while the password was being hashed the account may have been disabled, lost a scope, or got another password.
        const account = builtInUsers === undefined ? user : await builtInUsers.findIn(trx, user.id)
        if (account === null || account.passwordChangedAt !== user.passwordChangedAt) return { result: undefined }
        if (!prepared.scopes.every(name => account.scopes.includes(name))) throw accountChanged()
        const room = await makeRoom(write, account.id, maxSessions)
        if ('more' in room) return room
        const issuedAt = dateOf(askedAt, now)
        const session = {
          ...createSessionRow({
            userId: account.id,
            clientId,
            scope: formatScope(prepared.scopes),
            now,
            issuedAt,
            sessionTtl,
            refreshIdleTtl,
            userAgent,
            address,
            place
          }),
          ...await status?.give(trx, now)
        }
        await trx.insertInto('sessions').values(session).execute()
        await record({ type: 'login', actor: asUser(account.id, session.address), subject: account.id, sessionId: session.id, clientId })
        return { result: toGrant(session, account, prepared, issuedAt) }
      })
      if (grant === undefined) throw new LatchkeyError('invalid_credentials')
      return grant
    },

    async refresh (refreshToken, { client, scope, address } = {}) {
      const found = await store.read(db => findAuthentic(db, refreshKeys, refreshToken))
      // Whoever keeps sending the token of a dead session must not keep the only writer busy.
      if (found === undefined || !isLive(found.session, clock.now())) throw new LatchkeyError('invalid_refresh_token')
      const { session: known, generation } = found
      if (known.client_id !== (client?.id ?? FIRST_PARTY)) throw new LatchkeyError('invalid_refresh_token')
      // Everything that this store knows up to now is older than what is asked from here on.
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
          await endSession(write, { userId: session.user_id, sessionId: session.id })
          await record({ type: 'session_ended', actor: SYSTEM, ...about, details: { reason: 'account_closed' } })
          return { refused: 'invalid' }
        }
        const prepared = asksHost ? asked : await prepareFor(session, user, scope)
        const decision = await decide(trx, session, user, generation, { prepared, askedAt, now })
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
    },

    async identify (refreshToken) {
      const found = await store.read(db => findAuthentic(db, refreshKeys, refreshToken))
      if (found === undefined || found.session.ended_at !== null) return undefined
      const { session } = found
      return { sessionId: session.id, userId: session.user_id, clientId: session.client_id, live: isLive(session, clock.now()) }
    },

    endToken: createTokenEnding({ clock, ledger, revocations }),

    list: (userId, currentId) => store.read(db => listSessions(db, { userId, currentId }, clock.now())),

    async end (userId, sessionId, by = HOST) {
      return await revocations.write(async write => {
        const wasLive = await endSession(write, { userId, sessionId }) === true
        if (wasLive) await write.record({ type: 'session_ended', actor: by, subject: userId, sessionId })
        return wasLive
      })
    },

    async endOthers (userId, sessionId, by = HOST) {
      return await inSteps(revocations, async write => {
        const step = await endOtherSessions(write, { userId, keep: sessionId })
        if ('result' in step) await write.record(...endedEvents(userId, step.result, by))
        return step
      })
    },

    async endAll (userId, by = HOST) {
      const isAdministration = isLimited(by) && !(by.kind === 'user' && by.id === userId)
      if (isAdministration && builtInUsers === undefined) await assertMayEnd(userId, by)
      return await inSteps(revocations, async write => {
        if (isAdministration && builtInUsers !== undefined) await findChangeable(write.trx, userId, by)
        const step = await closeSessions(write, { userId })
        if ('result' in step) await write.record(...endedEvents(userId, step.result, by))
        return step
      })
    },

    purge: limit => purgeSessions(store, clock, limit)
  }
}
