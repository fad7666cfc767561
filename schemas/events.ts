/** Who acted, and from where. */
export interface Actor {
  /**
   * `anonymous`: a request that proves no identity. `command`: the command line. `host`: the app that Latchkey is
   * registered in. `system`: Latchkey itself.
   */
  readonly kind: 'user' | 'client' | 'anonymous' | 'command' | 'host' | 'system'
  /** The id of the user or the client; null for the other kinds. */
  readonly id: string | null
  /** The address that the request came from. */
  readonly address: string | null
}

/**
 * All events. The audit trail stores those with `kept`. The others happen to every user or client every few minutes.
 */
const TABLE = {
  login: {
    outcome: 'success',
    kept: true,
    meaning: 'A user logged in and started a session. `method` says how, if your app verified the user itself.'
  },
  login_failed: {
    outcome: 'failure',
    kept: true,
    meaning: 'A login failed: unknown username, wrong password, disabled account, or a refusal by `confirm`. The ' +
      'subject is the account, if it exists. An entry with `count` stands for that many more failures within a ' +
      'minute or two.'
  },
  refresh: { outcome: 'success', kept: false, meaning: 'A refresh token was exchanged for its successor.' },
  token_reissued: {
    outcome: 'success',
    kept: false,
    meaning: 'A user received a new access token for the same session.'
  },
  refresh_token_reuse: {
    outcome: 'failure',
    kept: true,
    meaning: 'A refresh token was used again after its successor, so someone else has a copy. The session was ended.'
  },
  token_revoked: { outcome: 'success', kept: true, meaning: 'One access token was revoked.' },
  tokens_revoked: {
    outcome: 'success',
    kept: true,
    meaning: 'All access tokens of a user or a machine client were revoked. The sessions continue.'
  },
  session_ended: {
    outcome: 'success',
    kept: true,
    meaning: 'A session ended: by logout, by the revocation of its refresh token, or by its owner.'
  },
  sessions_ended: {
    outcome: 'success',
    kept: true,
    meaning: 'Several sessions of a user were ended at once. `sessions` is how many of them were live.'
  },
  user_added: { outcome: 'success', kept: true, meaning: 'An account was created.' },
  users_exported: {
    outcome: 'success',
    kept: true,
    meaning: 'All accounts were exported, with their password hashes.'
  },
  user_removed: { outcome: 'success', kept: true, meaning: 'An account was deleted.' },
  user_disabled: { outcome: 'success', kept: true, meaning: 'An account was disabled.' },
  user_enabled: { outcome: 'success', kept: true, meaning: 'An account was enabled again.' },
  user_renamed: {
    outcome: 'success',
    kept: true,
    meaning: 'An account was renamed. `before` and `after` are the usernames.'
  },
  scopes_changed: {
    outcome: 'success',
    kept: true,
    meaning: 'The scopes of an account were replaced. `before` and `after` list them.'
  },
  roles_changed: {
    outcome: 'success',
    kept: true,
    meaning: 'The roles of an account were replaced. `before` and `after` list them.'
  },
  role_reduced: {
    outcome: 'success',
    kept: true,
    meaning: 'When a node started, its option `roles` lacked the role `role`, or the role lacked the scopes `scopes` ' +
      'that it had before. The access tokens that name the role were revoked.'
  },
  password_changed: { outcome: 'success', kept: true, meaning: 'The password of an account was set or changed.' },
  personal_access_token_created: {
    outcome: 'success',
    kept: true,
    meaning: 'A user created a personal access token, with `name` and `scopes`. `id` identifies it.'
  },
  personal_access_token_revoked: {
    outcome: 'success',
    kept: true,
    meaning: 'A personal access token was revoked: by its owner, by an administrator, or by a holder of its value.'
  },
  key_added: {
    outcome: 'success',
    kept: true,
    meaning: 'A key was created or imported. `activatesAt` is when it starts to sign. With `verifyOnly` it never signs.'
  },
  key_updated: {
    outcome: 'success',
    kept: true,
    meaning: 'A key that only verifies was imported again, with other settings for its tokens.'
  },
  key_activated: { outcome: 'success', kept: true, meaning: 'A pending key was activated before its time.' },
  key_revoked: { outcome: 'success', kept: true, meaning: 'A key was revoked, with every token that it signed.' },
  keys_resealed: {
    outcome: 'success',
    kept: true,
    meaning: 'The keys were resealed with the first secret. `count` is their number.'
  },
  attempts_blocked: {
    outcome: 'failure',
    kept: true,
    meaning: 'Too many consecutive attempts failed, so further attempts from the same source are rejected for a ' +
      'time. The actor made the last attempt. `failures` is the number of failures. An entry with `count` stands for ' +
      'that many more such blocks.'
  },
  client_added: {
    outcome: 'success',
    kept: true,
    meaning: 'A client was registered, with `scopes` and `grants`. `public` is true if it has no secret.'
  },
  client_removed: {
    outcome: 'success',
    kept: true,
    meaning: 'A machine client was deleted. `sessions` is how many of its sessions were live.'
  },
  client_secret_rotated: { outcome: 'success', kept: true, meaning: 'A machine client received a new secret.' },
  client_authentication_failed: {
    outcome: 'failure',
    kept: true,
    meaning: 'A machine client failed to authenticate: wrong secret or unknown id. The subject is the client, if it ' +
      'exists. An entry with `count` stands for that many more failures within a minute or two.'
  },
  client_token: { outcome: 'success', kept: false, meaning: 'A machine client received an access token of its own.' },
  password_change_failed: {
    outcome: 'failure',
    kept: true,
    meaning: 'A user tried to change the password and gave a wrong current password.'
  }
} as const satisfies Record<string, { outcome: 'success' | 'failure', kept: boolean, meaning: string }>

/** The stable name of an event, which programs can rely on. */
export type EventType = keyof typeof TABLE

/** Every event, for the schema of the trail and the table in docs/reference/events.md. */
export const EVENT_TYPES = Object.keys(TABLE) as EventType[]

/** The row of the table for `type`. */
export function describeEvent (type: EventType): { outcome: 'success' | 'failure', kept: boolean, meaning: string } {
  return TABLE[type]
}

/** An event. If the audit trail keeps it, it is already durable. The object is frozen. */
export interface SecurityEvent {
  readonly type: EventType
  readonly actor: Actor
  /** The id of the affected user, client or key. */
  readonly subject: string | null
  readonly sessionId: string | null
  readonly clientId: string | null
  readonly details: Readonly<Record<string, string | number | boolean | readonly string[]>>
  readonly outcome: 'success' | 'failure'
  /** Milliseconds since the epoch. */
  readonly at: number
}

/**
 * The host's event listener (option `onEvent`). It is called after the commit. Its errors and rejections are logged and
 * change nothing.
 */
export type EventHook = (event: SecurityEvent) => void | Promise<void>
