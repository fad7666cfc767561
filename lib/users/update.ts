import { LatchkeyError } from '../errors.js'
import { assertMayGrant, parseScope } from '../identity/scopes.js'
import { inSteps } from '../revocation/session-ending.js'
import { assertAnotherAdministrator, findChangeable, isAdministrator, isLimited } from './authority.js'
import type { Principal } from './authority.js'
import { changeRow, writeChange } from './change.js'
import type { UsersContext } from './context.js'
import { callerOf, hashAcceptable } from './new-password.js'
import { toScope } from './rows.js'
import { toStoredUser } from './stored-user.js'
import type { StoredUser } from './stored-user.js'

/** What to change of an account; what is not named stays. */
export interface UserChange {
  /** All scopes that the user is to have. */
  scopes?: readonly string[]
  /** Whether the user is kept from logging in. */
  disabled?: boolean
  password?: string
}

/** `Users.update`. */
export async function updateUser (
  context: UsersContext, id: string, { scopes, disabled, password, by }: UserChange & { by: Principal }
): Promise<StoredUser> {
  const { revocations, throttle, catalogue } = context
  const scope = scopes === undefined ? undefined : toScope(scopes, catalogue)
  const passwordHash = password === undefined ? undefined : await hashFor(context, id, { password, by })
  const changed = await inSteps(revocations, async write => {
    const { account: before, authority } = await findChangeable(write.trx, id, by)
    const change = { scope, disabled, passwordHash }
    const after = changeRow(before, change, write.now)
    assertMayGrant(authority, parseScope(after.scope))
    const isDemoted = isAdministrator(before) && !isAdministrator(after)
    if (isLimited(by) && isDemoted) await assertAnotherAdministrator(write.trx, id)
    return await writeChange(write, { before, after, change }, { throttle, by })
  })
  return toStoredUser(changed)
}

/** Hashes a password that is set from outside. Whoever may not set it costs no hash, and hears nothing of the policy. */
async function hashFor (
  context: UsersContext, id: string, { password, by }: { password: string, by: Principal }
): Promise<string> {
  // ASVS 6.2.3: whoever holds a stolen token must not get the account for good.
  if (by.kind === 'user' && by.id === id) throw new LatchkeyError('invalid_request', { message: 'The own password is changed by PUT /users/me/password, which asks for the current one.' })
  const { account } = await context.store.read(db => findChangeable(db, id, by))
  return await hashAcceptable(context, { password, username: account.username }, callerOf(by))
}
