import type { User } from '../../schemas/host.js'
import { assertCurrent } from '../clients/rows.js'
import type { Client } from '../clients/clients.js'
import { LatchkeyError } from '../errors.js'
import { FIRST_PARTY } from '../identity/client-ids.js'
import { expandRoles } from '../identity/roles.js'
import { formatScope } from '../identity/scopes.js'
import { textOf } from '../identity/user-ids.js'
import { asUser } from '../ledger/events.js'
import { inSteps } from '../revocation/session-ending.js'
import type { Place, Settle } from '../throttle/throttle.js'
import type { StoredUser } from '../users/stored-user.js'
import { ruling, shared } from '../store/lock.js'
import { accountChanged, dateOf } from './context.js'
import type { SessionContext } from './context.js'
import type { Grant, Issuing, Prepared } from './issued.js'
import { makeRoom } from './limit.js'
import { createSessionRow } from './rows.js'

/** The session that a login begins: see `Sessions.start`. */
interface StartRequest {
  client?: Client
  askedAt?: number
  scope?: string
  userAgent?: string
  address?: string
  place?: Place
  settle?: Settle
  method?: string
  amr?: readonly string[]
  authTime?: number
}

/** See `Sessions.start`. */
export type Start =
  (user: User & Partial<Pick<StoredUser, 'passwordChangedAt'>>, request?: StartRequest) => Promise<Grant>

/** Creates `Sessions.start`. */
export function createStart (context: SessionContext, { prepare, toGrant }: Issuing): Start {
  const { clock, revocations, builtInUsers, claims, roles, throttle, status } = context
  const { maxSessions, sessionTtl, refreshIdleTtl } = context
  return async function start (given, request = {}) {
    const { client, askedAt = clock.now(), scope, userAgent, address, place, settle, method } = request
    const amr = request.amr ?? (method === undefined ? ['pwd'] : [])
    const user = { ...given, id: textOf(given.id), scopes: expandRoles(given, roles) }
    const clientId = client?.id ?? FIRST_PARTY
    const prepareFor = ({ scopes }: User): Promise<Prepared> =>
      prepare(user, client === undefined ? scopes : scopes.filter(name => client.scopes.includes(name)), scope)
    // The host's code runs before the transaction. Otherwise the account is read once, inside it.
    const asked = claims === undefined ? undefined : await prepareFor(user)
    // A rule that is newer than the answer of the host must kill the token.
    const clearFrom = builtInUsers === undefined
      ? revocations.horizon()
      : revocations.clearFrom({ userId: user.id, clientId })
    const locks = [
      ...ruling(user.id),
      ...client === undefined ? [] : [shared('client', client.id)],
      ...settle?.locks ?? []
    ]
    const grant = await inSteps<Grant | undefined>(revocations, locks, async write => {
      const { trx, now, record } = write
      if (client !== undefined) await assertCurrent(trx, client)
      // While the password was being hashed, the account may have been disabled, lost a scope, or got another password.
      const account = builtInUsers === undefined ? user : await builtInUsers.findIn(trx, user.id)
      if (account === null || account.passwordChangedAt !== user.passwordChangedAt) return { result: undefined }
      const prepared = asked ?? await prepareFor(account)
      if (!prepared.scopes.every(name => account.scopes.includes(name))) throw accountChanged()
      const room = await makeRoom(write, account.id, maxSessions)
      if ('more' in room) return room
      await settle?.within(write)
      // While the password was being checked, the account may have been renamed. The name of a host's account can
      // differ from the one that its user types, so only the typed one counts.
      const isBuiltIn = builtInUsers !== undefined && place !== undefined
      const here = isBuiltIn ? { ...place, account: throttle.placeOf(account.username, address).account } : place
      const issuedAt = dateOf(context, { askedAt, now, clearFrom })
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
          place: here,
          amr,
          authTime: request.authTime
        }),
        ...await status?.give(trx, now)
      }
      await trx.insertInto('latchkey_sessions').values(session).execute()
      const actor = asUser(account.id, session.address)
      const about = { actor, subject: account.id, sessionId: session.id, clientId }
      await record({ type: 'login', ...about, ...(method === undefined ? {} : { details: { method } }) })
      return { result: toGrant({ session, user: account, prepared, issuedAt }) }
    })
    if (grant === undefined) throw new LatchkeyError('invalid_credentials')
    return grant
  }
}
