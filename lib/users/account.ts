import type { Static } from 'typebox'
import type { User } from '../../schemas/host.js'
import type { Account } from '../../schemas/users.js'
import { textOf } from '../identity/user-ids.js'

/** Returns an account as the routes show it to its owner. */
export function toAccount ({ id, username, scopes, roles = [] }: User): Static<typeof Account> {
  return { id: textOf(id), username, scopes: [...scopes], roles: [...roles] }
}
