import { LatchkeyError } from '../errors.js'
import { asUser } from '../ledger/events.js'
import { closeSessions, endOtherSessions, inSteps } from '../revocation/session-ending.js'
import { requireAccount } from './authority.js'
import { changedAt } from './change.js'
import type { UsersContext } from './context.js'
import { callerOf, hashAcceptable } from './new-password.js'
import { ruling } from '../store/lock.js'

/** A change of a user's own password. */
export interface OwnPasswordChange {
  current: string
  password: string
  /** The session that does not end. If undefined, all sessions end. */
  keepSession: string | undefined
  /** Where the request comes from. */
  address?: string
}

/** `Users.changePassword`. */
export async function changeOwnPassword (
  context: UsersContext, id: string, { current, password, keepSession, address }: OwnPasswordChange
): Promise<void> {
  const { store, passwords, throttle, revocations } = context
  const by = asUser(id, address ?? null)
  const caller = callerOf(by)
  const row = await store.read(db => requireAccount(db, id))
  const { valid } = await passwords.verify(current, row.password_hash, caller)
  if (!valid) {
    await throttle.recordFailure({
      type: 'password_change_failed', actor: by, subject: id, sessionId: keepSession
    })
    throw new LatchkeyError('wrong_password')
  }
  const passwordHash = await hashAcceptable(context, { password, username: row.username }, caller)
  await inSteps<undefined>(revocations, ruling(id), async write => {
    const { trx, now, record } = write
    const before = await requireAccount(trx, id)
    // If someone changed the password or disabled the account while we were hashing, that change stands.
    const isChanged = before.password_changed_at !== row.password_changed_at || before.disabled_at !== null
    if (isChanged) throw new LatchkeyError('wrong_password')
    // If no session is kept, tokens that belong to no session can die too.
    const step = keepSession === undefined
      ? await closeSessions(write, { userId: id })
      : await endOtherSessions(write, { userId: id, keep: keepSession })
    if ('more' in step) return step
    await trx.updateTable('latchkey_users')
      .set({
        password_hash: passwordHash,
        dummy_hash: null,
        password_changed_at: changedAt(before, now),
        updated_at: now
      })
      .where('id', '=', id).execute()
    await record({ type: 'password_changed', actor: by, subject: id })
    return { result: undefined }
  })
}
