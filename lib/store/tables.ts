import type { Generated, Kysely, Transaction } from 'kysely'

/**
 * The prefix keeps the tables apart from those of the app, which may use the same database.
 *
 * All times are milliseconds since the epoch. All scopes are one string, as specified in RFC 6749
 * section 3.3.
 */
export interface Tables {
  latchkey_users: UsersTable
  latchkey_sessions: SessionsTable
  latchkey_status_lists: StatusListsTable
  latchkey_rules: RulesTable
  latchkey_clients: ClientsTable
  latchkey_personal_access_tokens: PersonalAccessTokensTable
  latchkey_keys: KeysTable
  latchkey_attempts: AttemptsTable
  latchkey_events: EventsTable
  latchkey_meta: MetaTable
  latchkey_settings: SettingsTable
  latchkey_roles: RolesTable
}

export interface UsersTable {
  id: string
  username: string
  /** The username after NFKC, in lower case. It is unique. */
  username_key: string
  password_hash: string
  /** When the user or an administrator last set it. A new hash at login does not count. */
  password_changed_at: number
  /** Its own scopes, without those of its roles. */
  scope: string
  /** The names of its roles, separated by spaces. */
  roles: string
  disabled_at: number | null
  /**
   * 1 for an enabled user with `users:write` among its own scopes, otherwise null. Finds the last one without reading
   * every user. It does not depend on the roles, because their definition can change without the row.
   */
  administrator: 1 | null
  /**
   * If another system made `password_hash`, a hash that costs as much to verify. Null for bcrypt. Finds the kinds of
   * hashes that are in use without reading every user.
   */
  dummy_hash: string | null
  created_at: number
  updated_at: number
}

export interface SessionsTable {
  id: string
  user_id: string
  client_id: string
  scope: string
  /** Random. Part of the key that authenticates the refresh tokens of this session. */
  nonce: string
  /** Only the refresh token of this generation is current. */
  generation: number
  rotated_at: number
  /**
   * The highest generation that the client is known to have received, because it has used an access token of it. 0:
   * none.
   */
  seen_generation: number
  created_at: number
  last_used_at: number
  idle_expires_at: number
  expires_at: number
  ended_at: number | null
  /** Why it ended, if the client must be told. `stolen`: two parties used the same refresh token. */
  end_reason: 'stolen' | null
  /** When the user last proved who they are. */
  auth_time: number
  /** How they did so, separated by spaces: RFC 8176. */
  amr: string
  user_agent: string | null
  address: string | null
  /**
   * A MAC of the username that was typed at login, or null if there was none. Together with `network` it identifies a
   * place from which the account is known to log in.
   */
  account: string | null
  network: string | null
  /**
   * The status list and the place in it that show whether the session ended: see `lib/status-lists/references.ts`.
   * Null: none.
   */
  status_list: string | null
  status_index: number | null
}

interface StatusListsTable {
  id: string
  created_at: number
  /** How many indices were ever assigned. */
  given: number
  /** 1 while it accepts more sessions, otherwise null. Finds the open list without reading every list. */
  open: 1 | null
}

export interface RulesTable {
  /** Grows with every rule. Another process reads only the rules above the last one that it has seen. */
  seq: Generated<number>
  kind: 'token' | 'session' | 'user' | 'client' | 'role'
  value: string
  /** For a token: its session, or its client if the client requested the token for itself. Null for the other kinds. */
  session_id: string | null
  /** Tokens issued before this are revoked. Null: all tokens, whenever they were issued. */
  issued_before: number | null
  /** For a session: `stolen` if that is why it ended. The client then gets `session_stolen`. */
  reason: 'stolen' | null
  /** When the last token that the rule can revoke expires. */
  expires_at: number
}

export interface ClientsTable {
  id: string
  name: string
  /** SHA-256, base64url. `none` for a public client. */
  secret_hash: string
  secret_changed_at: number
  scope: string
  /** Separated by spaces. */
  grants: string
  created_at: number
  updated_at: number
}

export interface PersonalAccessTokensTable {
  id: string
  user_id: string
  name: string
  /** SHA-256, base64url. It is unique. */
  value_hash: string
  scope: string
  created_at: number
  /** Null: never. */
  expires_at: number | null
  /** Null: never. */
  last_used_at: number | null
}

export interface KeysTable {
  kid: string
  algorithm: string
  /**
   * The private key, the symmetric key, or the public key if the key never signs. Sealed with a key that is derived
   * from the secret. Empty after revocation.
   */
  sealed: string
  created_at: number
  /** When it begins to sign. Null: never, because it only verifies tokens of an older system. */
  activates_at: number | null
  /** When it stops signing. Null: not decided yet. */
  retires_at: number | null
  /** From when it is no longer published and verifies nothing. Null: not decided yet. */
  expires_at: number | null
  revoked_at: number | null
  /** The `iss` that tokens of the older system must have. Null: none is required. */
  issuer: string | null
  /**
   * The `aud` that tokens of the older system must have. Null: a token that has one must have one of Latchkey's own.
   */
  audience: string | null
  /** The scopes that tokens of the older system may carry. Null: all scopes of the app. */
  scope: string | null
  /** What else the import accepts in these tokens, as JSON: see `lib/keys/leniency.ts`. Null: nothing. */
  leniency: string | null
}

/** Attempts on passwords and secrets: see `lib/throttle/attempts.ts`. */
export interface AttemptsTable {
  /** A MAC of the subject whose attempts are counted: see `lib/throttle/throttle.ts`. */
  key: string
  account: string | null
  failures: number
  /** When each current attempt began: numbers, separated by spaces. */
  pending: string
  last_attempt_at: number
  blocked_until: number
  expires_at: number
}

/** The audit trail. */
export interface EventsTable {
  /** Grows with every entry. */
  seq: Generated<number>
  at: number
  type: string
  outcome: 'success' | 'failure'
  actor_kind: string
  actor_id: string | null
  address: string | null
  subject: string | null
  session_id: string | null
  client_id: string | null
  /** JSON. */
  details: string
}

interface MetaTable {
  name: string
  value: number
}

/** Settings that the nodes of a database share: see `lib/store/settings.ts`. */
interface SettingsTable {
  name: string
  value: string
}

/** The roles as the node that started last defines them: see `lib/revocation/lost-scopes.ts`. */
interface RolesTable {
  name: string
  scope: string
}

/** The database, or a transaction on it: queries run on both. */
export type Queryable = Kysely<Tables> | Transaction<Tables>
