/**
 * Something that a transaction reads and then relies on. Two transactions that name the same thing run one after the
 * other, unless both share it:
 * - `user`, exclusive: the account, its sessions as a whole, and rules for all its tokens. Shared: issuing a token to
 *   it.
 * - `session`: the row of one session
 * - `client`, exclusive: its row, and rules for all its tokens. Shared: issuing a token to it.
 * - `bucket`: the attempts that are counted under one key
 * - `accounts`: which accounts exist, their names, and who is an administrator
 * - `roles`: the stored definition of the roles
 * - `keys`: the signing and verification keys. Shared: how long a rule must last.
 */
export interface Lock {
  readonly on: 'user' | 'session' | 'client' | 'bucket' | 'accounts' | 'roles' | 'keys'
  /** Undefined for `accounts`, `roles` and `keys`, of which there is one each. */
  readonly id: string | undefined
  readonly isShared: boolean
}

/** Names something that the transaction changes. */
export function exclusive (on: Lock['on'], id?: string): Lock {
  return { on, id, isShared: false }
}

/** Names something that must not change during the transaction. */
export function shared (on: Lock['on'], id?: string): Lock {
  return { on, id, isShared: true }
}

/**
 * Returns the locks of a transaction that may write a rule for all tokens of a user. The rule must outlive the tokens
 * of every key, so no key may be added meanwhile.
 */
export function ruling (userId: string): Lock[] {
  return [exclusive('user', userId), shared('keys')]
}
