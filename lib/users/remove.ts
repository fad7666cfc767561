import { closeSessions, forgetEnded, inSteps } from '../revocation/session-ending.js'
import { assertAnotherAdministrator, findChangeable, isAdministrator, isLimited } from './authority.js'
import type { Principal } from './authority.js'
import type { UsersContext } from './context.js'
import { toStoredUser } from './stored-user.js'
import type { StoredUser } from './stored-user.js'
import { exclusive, ruling } from '../store/lock.js'

/** `Users.remove`. */
export async function removeUser (
  { revocations, roles }: UsersContext, id: string, by: Principal
): Promise<StoredUser> {
  return await inSteps(revocations, [...ruling(id), exclusive('accounts')], async write => {
    const { trx, record } = write
    const { account: row } = await findChangeable(trx, id, { by, roles })
    if (isLimited(by) && isAdministrator(row, roles)) await assertAnotherAdministrator(trx, id, roles)
    if (!await forgetEnded(trx, id)) return { more: write.progress }
    const step = await closeSessions(write, { userId: id, spare: by.sessionId })
    if ('more' in step) return step
    await forgetEnded(trx, id)
    await trx.deleteFrom('latchkey_personal_access_tokens').where('user_id', '=', id).execute()
    await trx.deleteFrom('latchkey_users').where('id', '=', id).execute()
    await record({ type: 'user_removed', actor: by, subject: id, details: { username: row.username } })
    return { result: toStoredUser(row, roles) }
  })
}
