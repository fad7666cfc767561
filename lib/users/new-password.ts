import type { Actor } from '../../schemas/events.js'
import { LatchkeyError } from '../errors.js'
import { networkOf } from '../identity/network.js'
import type { Caller } from '../passwords/pool.js'
import type { UsersContext } from './context.js'

/** A new password, and the stored form of the username of its account. */
interface NewPassword {
  password: string
  username: string
}

export function callerOf ({ kind, address }: Actor): Caller {
  return { origin: networkOf(address), isAnonymous: kind === 'anonymous' }
}

/** Throws `password_rejected` with the reason if the policy does not allow the password. */
export async function assertAcceptable (
  { passwords, passwordMinLength }: UsersContext, { password, username }: NewPassword, caller?: Caller
): Promise<void> {
  const reason = await passwords.check(password, { minLength: passwordMinLength, username }, caller)
  if (reason !== undefined) throw new LatchkeyError('password_rejected', { message: reason })
}

/** Hashes a new password after `assertAcceptable`. */
export async function hashAcceptable (
  context: UsersContext, newPassword: NewPassword, caller: Caller
): Promise<string> {
  await assertAcceptable(context, newPassword, caller)
  return await context.passwords.hash(newPassword.password, caller)
}
