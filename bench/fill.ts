import { sql } from 'kysely'
import type { Kysely, RawBuilder } from 'kysely'
import { engineOf } from '../lib/store/engines.js'
import type { EngineName } from '../lib/store/engines.js'
import { openStore } from '../lib/store/open.js'
import type { Tables } from '../lib/store/tables.js'

const DAY = 86_400_000

/** Rows per statement. The database engine generates them itself. */
const STEP = 20_000

/** What engines express differently in SQL. */
interface Spelling {
  /** Rows with the numbers from `from` up to, but not including, `to`, in the column `n`. */
  numbers (from: number, to: number): RawBuilder<unknown>
  /** A UUIDv7 that differs for each number and `kind`, with random bits where real ids have them. */
  id (kind: number): RawBuilder<unknown>
  /** A random text as long as the hash of a personal access token. */
  hash: RawBuilder<unknown>
  /** Collects statistics, as a running server does by itself a minute later. */
  analyze?: RawBuilder<unknown>
}

/** Random hexadecimal digits, at most 32, in PostgreSQL. */
const randomDigits = (count: number): RawBuilder<unknown> => sql`substr(md5(random()::text), 1, ${sql.lit(count)})`

const SQLITE: Spelling = {
  numbers: (from, to) => sql`(select key + ${from} as n from json_each(${`[${'0,'.repeat(to - from - 1)}0]`}))`,
  id: kind => sql`printf(
    '%08x-%04x-7%03x-8%03x-%s', n, ${kind}, abs(random()) % 4096, abs(random()) % 4096, lower(hex(randomblob(6)))
  )`,
  hash: sql`substr(hex(randomblob(22)), 1, 43)`
}

const POSTGRES: Spelling = {
  numbers: (from, to) => sql`generate_series(${sql.lit(from)}, ${sql.lit(to - 1)}) as n`,
  id: kind => sql`lpad(to_hex(n), 8, '0') || '-' || lpad(to_hex(${sql.lit(kind)}), 4, '0') ||
    '-7' || ${randomDigits(3)} || '-8' || ${randomDigits(3)} || '-' || ${randomDigits(12)}`,
  hash: sql`${randomDigits(32)} || ${randomDigits(11)}`,
  analyze: sql`analyze`
}

const SPELLINGS: Record<EngineName, Spelling> = { SQLite: SQLITE, PostgreSQL: POSTGRES }

/**
 * Fills a store, after its migrations, with so many users, live sessions, live rules of all kinds, and personal access
 * tokens. Default: none.
 */
export async function fillStore (
  database: string,
  { users = 0, sessions = 0, rules = 0, keys = 0 }: {
    users?: number, sessions?: number, rules?: number, keys?: number
  }
): Promise<void> {
  const { numbers, id, hash, analyze } = SPELLINGS[engineOf(database).name]
  const store = await openStore(database, { bound: 60_000, log: () => {} })
  const now = Date.now()
  const at = sql.lit(now)
  async function fill (rows: number, insert: (from: RawBuilder<unknown>) => RawBuilder<unknown>): Promise<void> {
    for (let row = 0; row < rows; row += STEP) {
      await store.transaction(trx => insert(numbers(row, Math.min(rows, row + STEP))).execute(trx as Kysely<Tables>))
    }
  }
  await fill(users, from => sql`
    insert into latchkey_users
      (id, username, username_key, password_hash, password_changed_at, scope, created_at, updated_at)
    select ${id(1)}, 'filler-' || n, 'filler-' || n, '', ${at}, '', ${at}, ${at} from ${from}`)
  await fill(sessions, from => sql`
    insert into latchkey_sessions
      (id, user_id, client_id, scope, nonce, generation, rotated_at, created_at, last_used_at, idle_expires_at,
      expires_at, seen_generation, auth_time, amr)
    select ${id(2)}, 'user-' || (n / 2), 'latchkey', 'items:read', 'nonce', 1, ${at}, ${at}, ${at},
      ${sql.lit(now + 30 * DAY)}, ${sql.lit(now + 90 * DAY)}, 0, ${at}, 'pwd'
    from ${from}`)
  await fill(rules, from => sql`
    insert into latchkey_rules (kind, value, session_id, issued_before, expires_at)
    select case n % 4 when 0 then 'token' when 1 then 'user' else 'session' end, ${id(3)}, null,
      case n % 4 when 1 then ${at} end, ${sql.lit(now + DAY)}
    from ${from}`)
  await fill(keys, from => sql`
    insert into latchkey_personal_access_tokens (id, user_id, name, value_hash, scope, created_at)
    select ${id(4)}, 'user-' || (n / 10), 'A program', ${hash}, 'items:read', ${at} from ${from}`)
  if (analyze !== undefined) await store.read(db => analyze.execute(db))
  await store.close()
}
