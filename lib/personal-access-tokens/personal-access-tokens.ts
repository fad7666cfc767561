import { KEY_NAME, LONGEST_LIFETIME, LONGEST_NAME, MOST_KEYS } from '../../schemas/keys.js'
import type { User, UserDirectory } from '../../schemas/host.js'
import type { UserId } from '../../schemas/user-ids.js'
import { LatchkeyError } from '../errors.js'
import { createId } from '../identity/ids.js'
import type { RoleDefinitions } from '../identity/roles.js'
import { assertMayGrant, isNarrower, formatScope, parseScope } from '../identity/scopes.js'
import { textOf } from '../identity/user-ids.js'
import { HOST } from '../ledger/events.js'
import type { Revocations } from '../revocation/revocations.js'
import { RULE_RETENTION } from '../revocation/rule-index.js'
import type { Write } from '../revocation/writing.js'
import { ruling } from '../store/lock.js'
import type { Store } from '../store/store.js'
import type { Queryable } from '../store/tables.js'
import { findChangeable, isLimited } from '../users/authority.js'
import type { Principal } from '../users/authority.js'
import type { Users } from '../users/users.js'
import { findByHash, listRows, toRow, toToken } from './rows.js'
import type { PersonalAccessToken } from './rows.js'
import { createValue, hashValue, isWellFormed } from './value.js'

/** What a personal access token is created with. */
export interface NewPersonalAccessToken {
  /** What its owner calls it. */
  name: string
  /** Some of the scopes of its owner. */
  scopes: readonly string[]
  /** Seconds. Default: it does not expire. */
  expiresIn?: number
}

/** Long-lived credentials that users create for their programs. */
export interface PersonalAccessTokens {
  /**
   * Creates a token. Only this call returns its value. Throws `invalid_scope` if the user lacks one of the scopes, or
   * `by` does. Throws `invalid_request` for a bad name or lifetime, or if the user has too many tokens. Throws
   * `not_found` if the user does not exist or may not log in.
   */
  create (
    userId: UserId, request: NewPersonalAccessToken, by?: Principal
  ): Promise<{ value: string, token: PersonalAccessToken }>
  /** Returns the tokens of a user, newest first. */
  list (userId: UserId): Promise<PersonalAccessToken[]>
  /**
   * Revokes a token. Every node and verifier rejects it as soon as it would reject a revoked access token. Throws
   * `not_found` if there is no such token.
   * @param request.userId - rejects the tokens of all other users, so that a user cannot revoke those of another.
   *   Default: the token may belong to any user, because an administrator or the host may know only its id.
   */
  revoke (id: string, request?: { userId?: UserId, by?: Principal }): Promise<PersonalAccessToken>
  /** Revokes the token with this value, for its holder. Returns whether there was one. */
  revokeValue (value: string, by?: Principal): Promise<boolean>
  /** Revokes all tokens of a user, for an app that deletes its own accounts. Returns how many there were. */
  revokeAll (userId: UserId, by?: Principal): Promise<number>
  /**
   * Deletes up to `limit` tokens that expired more than a day ago. Returns whether there may be more.
   * @param now - the time, if it is steady: see `steady-time.ts`.
   */
  purge (limit: number, now: number): Promise<boolean>
}

/**
 * How long the rule of a revoked token lasts, in milliseconds. It has to outlast what nodes and verifiers remember of
 * the token, because its row is gone.
 */
const RULE_LIFETIME = 3_600_000

/** What the service depends on. */
interface Context {
  store: Store
  revocations: Revocations
  users: UserDirectory
  /** Undefined if `users` is the host's directory, which no transaction can read. */
  builtInUsers: Users | undefined
  roles: RoleDefinitions
}

/** Creates the service. */
export function createPersonalAccessTokens (context: Context): PersonalAccessTokens {
  const { store } = context
  const { revokeFound, revokeAllOf } = createRevoking(context)

  return {
    create: createCreating(context),

    list: user => store.read(db => listRows(db, textOf(user), MOST_KEYS)),

    async revoke (id, { userId, by = HOST } = {}) {
      const row = await store.read(db => db.selectFrom('latchkey_personal_access_tokens').selectAll()
        .where('id', '=', id).executeTakeFirst())
      const found = row === undefined ? undefined : toToken(row)
      const isRight = found !== undefined && (userId === undefined || found.userId === textOf(userId))
      const revoked = isRight ? await revokeFound(found, by) : undefined
      if (revoked === undefined) {
        throw new LatchkeyError('not_found', { message: 'There is no such personal access token.' })
      }
      return revoked
    },

    async revokeValue (value, by = HOST) {
      if (!isWellFormed(value)) return false
      const found = await store.read(db => findByHash(db, hashValue(value)))
      return found !== undefined && await revokeFound(found, by, { isHolder: true }) !== undefined
    },

    revokeAll: async (user, by = HOST) => await revokeAllOf(textOf(user), by),

    async purge (limit, now) {
      const { numDeletedRows } = await store.transaction(async trx => {
        const over = trx.selectFrom('latchkey_personal_access_tokens').select('id')
          .where('expires_at', '<', now - RULE_RETENTION).orderBy('expires_at').limit(limit)
        return await trx.deleteFrom('latchkey_personal_access_tokens').where('id', 'in', over).executeTakeFirst()
      })
      return numDeletedRows === BigInt(limit)
    }
  }
}

/** See `PersonalAccessTokens.create`. */
function createCreating ({ revocations, users, builtInUsers }: Context): PersonalAccessTokens['create'] {
  return async function create (user, request, by = HOST) {
    const userId = textOf(user)
    assertValid(request)
    const { name, expiresIn } = request
    const scopes = parseScope(formatScope(request.scopes))
    // The host's code runs before the transaction.
    const account = await users.find(userId)
    const value = createValue()
    const token = await revocations.write(ruling(userId), async ({ trx, now, record }) => {
      await assertSessionLives(trx, by)
      const owner = builtInUsers === undefined ? account : await builtInUsers.findIn(trx, userId)
      assertMayHave(owner, scopes, by)
      await assertRoom(trx, userId)
      const expiresAt = expiresIn === undefined ? undefined : now + expiresIn * 1_000
      const created = { id: createId(now), userId, name, scopes, createdAt: now, expiresAt }
      await trx.insertInto('latchkey_personal_access_tokens').values(toRow(created, hashValue(value))).execute()
      await record({
        type: 'personal_access_token_created', actor: by, subject: userId, details: { id: created.id, name, scopes }
      })
      return { ...created, lastUsedAt: undefined }
    })
    return { value, token }
  }
}

/** Creates the functions that revoke tokens after they were looked up. */
function createRevoking ({ revocations, users, builtInUsers, roles }: Context) {
  async function revokeRow (write: Write, { id, userId, name }: PersonalAccessToken, by: Principal): Promise<void> {
    const { trx, now, revoke, record } = write
    await trx.deleteFrom('latchkey_personal_access_tokens').where('id', '=', id).execute()
    await revoke.token(id, null, now + RULE_LIFETIME)
    await record({ type: 'personal_access_token_revoked', actor: by, subject: userId, details: { id, name } })
  }

  /**
   * Runs a transaction if `by` may revoke the tokens of this user: the user, an administrator of the account, or anyone
   * who holds the value of a token, for that token.
   */
  async function write<T> (
    { userId, by, isHolder = false }: { userId: string, by: Principal, isHolder?: boolean },
    work: (write: Write) => Promise<T>
  ): Promise<T> {
    const isOwn = by.kind === 'user' && by.id === userId
    const isAdministration = isLimited(by) && !isHolder && !isOwn
    if (isAdministration && builtInUsers === undefined) {
      const account = await users.find(userId)
      if (account !== null) assertMayGrant(by.scopes ?? [], account.scopes)
    }
    return await revocations.write(ruling(userId), async write => {
      if (isAdministration && builtInUsers !== undefined) await findChangeable(write.trx, userId, { by, roles })
      return await work(write)
    })
  }

  return {
    /** Returns undefined if the token no longer exists. */
    revokeFound: (
      { id, userId }: PersonalAccessToken, by: Principal, { isHolder }: { isHolder?: boolean } = {}
    ): Promise<PersonalAccessToken | undefined> =>
      write({ userId, by, isHolder }, async write => {
        const row = await write.trx.selectFrom('latchkey_personal_access_tokens').selectAll()
          .where('id', '=', id).executeTakeFirst()
        if (row === undefined) return undefined
        await revokeRow(write, toToken(row), by)
        return toToken(row)
      }),

    revokeAllOf: (userId: string, by: Principal): Promise<number> => write({ userId, by }, async write => {
      const found = await listRows(write.trx, userId, MOST_KEYS)
      for (const token of found) await revokeRow(write, token, by)
      return found.length
    })
  }
}

async function assertRoom (db: Queryable, userId: string): Promise<void> {
  const { number } = await db.selectFrom('latchkey_personal_access_tokens')
    .select(eb => eb.fn.countAll<number>().as('number')).where('user_id', '=', userId).executeTakeFirstOrThrow()
  if (number < MOST_KEYS) return
  throw new LatchkeyError('invalid_request', {
    message: `The user already has ${number} personal access tokens, and the limit is ${MOST_KEYS}: revoke one first.`
  })
}

/** The session of the request may have ended since its token was checked. */
async function assertSessionLives (db: Queryable, { sessionId }: Principal): Promise<void> {
  if (sessionId === undefined) return
  const session = await db.selectFrom('latchkey_sessions').select('ended_at').where('id', '=', sessionId)
    .executeTakeFirst()
  if (session !== undefined && session.ended_at !== null) throw new LatchkeyError('token_revoked')
}

/** A key must have no more scopes than its owner, and no more than the credential that creates it. */
function assertMayHave (owner: User | null, scopes: readonly string[], by: Principal): void {
  if (owner === null) {
    throw new LatchkeyError('not_found', { message: 'There is no such user, or the user may not log in.' })
  }
  const granted = isLimited(by) ? owner.scopes.filter(scope => by.scopes?.includes(scope) === true) : owner.scopes
  if (!isNarrower(granted, formatScope(scopes))) throw new LatchkeyError('invalid_scope')
}

const NAME = new RegExp(KEY_NAME, 'u')

function assertValid ({ name, scopes, expiresIn }: NewPersonalAccessToken): void {
  if (typeof name !== 'string' || name.length > LONGEST_NAME || !NAME.test(name)) {
    throw invalid(`The name must be text of 1 to ${LONGEST_NAME} characters, without control characters.`)
  }
  if (!Array.isArray(scopes) || !scopes.every(scope => typeof scope === 'string' && !scope.includes(' '))) {
    throw invalid('The scopes must be a list of scope names.')
  }
  if (expiresIn === undefined) return
  if (!Number.isSafeInteger(expiresIn) || expiresIn < 1 || expiresIn > LONGEST_LIFETIME) {
    throw invalid(`The lifetime must be a whole number of seconds from 1 to ${LONGEST_LIFETIME}.`)
  }
}

function invalid (message: string): LatchkeyError {
  return new LatchkeyError('invalid_request', { message })
}
