import type { Generated, Kysely, Transaction } from 'kysely'

/** All times are milliseconds since the epoch; all scopes are one string as in RFC 6749 section 3.3. */
export interface Tables {
  users: UsersTable
  sessions: SessionsTable
  status_lists: StatusListsTable
  rules: RulesTable
  clients: ClientsTable
  keys: KeysTable
  attempts: AttemptsTable
  events: EventsTable
  meta: MetaTable
}

export interface UsersTable {
  id: string
  username: string
  /** The username after NFKC, in lower case: what makes it unique. */
  username_key: string
  password_hash: string
  /** When the user or an administrator last set it; a re-hash at login is none. */
  password_changed_at: number
  scope: string
  disabled_at: number | null
  /** 1 for an enabled user with `users:write`, else null: the last one is found without looking at every user. */
  administrator: 1 | null
  created_at: number
  updated_at: number
}

export interface SessionsTable {
  id: string
  user_id: string
  client_id: string
  scope: string
  /** Random, and part of the key that refresh tokens of this session are authenticated with. */
  nonce: string
  /** The only refresh token that is current is the one of this generation. */
  generation: number
  rotated_at: number
  created_at: number
  last_used_at: number
  idle_expires_at: number
  expires_at: number
  ended_at: number | null
  user_agent: string | null
  address: string | null
  /** A MAC of the username that was typed at the login; null where there was none. With `network`: a place that the account is known to use. */
  account: string | null
  network: string | null
  /** Where status lists say whether the session was ended: see `lib/status-lists/references.ts`. Null: nowhere. */
  status_list: string | null
  status_index: number | null
}

export interface StatusListsTable {
  id: string
  created_at: number
  /** How many indices were ever given. */
  given: number
  /** 1 while it takes further sessions, else null: the one that does is found without looking at every list. */
  open: 1 | null
}

export interface RulesTable {
  /** Grows with every rule written: another process reads what is above the last one it saw. */
  seq: Generated<number>
  kind: 'token' | 'session' | 'user' | 'client'
  value: string
  /** Of a token: its session, or the client where it is a client's own. Null for the other kinds. */
  session_id: string | null
  /** Tokens issued before this are dead. Null: whenever they were issued. */
  issued_before: number | null
  /** When the last token that the rule could kill has expired. */
  expires_at: number
}

export interface ClientsTable {
  id: string
  name: string
  /** SHA-256, base64url. */
  secret_hash: string
  secret_changed_at: number
  scope: string
  /** Separated by spaces. */
  grants: string
  created_at: number
  updated_at: number
}

export interface KeysTable {
  kid: string
  algorithm: string
  /** The private key, the symmetric one, or of a key that never signs the public one, sealed with a key derived from the secret. Empty once revoked. */
  sealed: string
  created_at: number
  /** When it begins to sign. Null: never, it verifies tokens of an older system. */
  activates_at: number | null
  /** When it stops signing. Null: that is open. */
  retires_at: number | null
  /** When it is no longer published and verifies nothing. Null: that is open. */
  expires_at: number | null
  revoked_at: number | null
  /** The `iss` that tokens of the older system must have. Null: none is asked for. */
  issuer: string | null
  /** The `aud` that tokens of the older system must have. Null: one of ours, where they have one. */
  audience: string | null
  /** The scopes that tokens of the older system may carry. Null: all of the app's own. */
  scope: string | null
}

/** Attempts on passwords and secrets: see `lib/throttle/attempts.ts`. */
export interface AttemptsTable {
  /** A MAC of what the attempts are counted on: see `lib/throttle/throttle.ts`. */
  key: string
  account: string | null
  failures: number
  /** When each attempt that is under way began: numbers, separated by spaces. */
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

export interface MetaTable {
  name: string
  value: number
}

/** Something that queries run on: the database, or a transaction on it. */
export type Queryable = Kysely<Tables> | Transaction<Tables>
