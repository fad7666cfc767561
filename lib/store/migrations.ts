import type { CreateTableBuilder, Kysely, Migration, RawBuilder } from 'kysely'
import { Migrator, sql } from './kysely.js'
import { UnfitDatabase } from './store.js'
import type { Tables } from './tables.js'

// The app may keep its own tables in the same database, and may migrate them with Kysely too. So everything that
// Latchkey creates carries the prefix `latchkey_`.

const MIGRATION_TABLE = 'latchkey_migration'
const MIGRATION_LOCK_TABLE = 'latchkey_migration_lock'

/** What engines express differently in the schema. */
export interface SchemaDialect {
  /** The type of texts, ordered by their bytes. */
  readonly text: 'text' | RawBuilder<unknown>
  /** Adds the column `seq`. It numbers rows in the order of their insertion, and never uses a number twice. */
  addSequence<Name extends string> (table: CreateTableBuilder<Name, never>): CreateTableBuilder<Name, 'seq'>
  /**
   * Makes the engine number and announce each commit that changes rules or keys, if it does not report commits by
   * itself.
   */
  announceChanges (db: Kysely<Tables>): Promise<void>
}

/**
 * Brings the schema up to date. If several processes do so at the same time, one migrates and the others wait.
 * @param place - the schema of the database that holds the tables, if the engine has schemas.
 */
export async function migrate (db: Kysely<Tables>, dialect: SchemaDialect, place?: string): Promise<void> {
  const migrations = createMigrations(dialect)
  const migrator = new Migrator({
    db,
    provider: { getMigrations: async () => migrations },
    migrationTableName: MIGRATION_TABLE,
    migrationLockTableName: MIGRATION_LOCK_TABLE,
    // Another schema of the database may hold the tables of another Latchkey.
    ...place !== undefined && { migrationTableSchema: place }
  })
  const { error } = await migrator.migrateToLatest()
  if (error === undefined) return
  const newer = await findNewer(db, Object.keys(migrations), place)
  if (newer === undefined) throw error
  throw new UnfitDatabase(
    `a newer version of Latchkey has changed its schema (${newer}), and this version cannot use it: ` +
      'start that version or a later one, or restore a backup from before the change', { cause: error })
}

/** Returns a migration that the database has had, and that this version does not know. */
async function findNewer (db: Kysely<Tables>, known: readonly string[], place?: string): Promise<string | undefined> {
  try {
    const table = place === undefined ? sql.table(MIGRATION_TABLE) : sql.id(place, MIGRATION_TABLE)
    const { rows } = await sql<{ name: string }>`select name from ${table} order by name desc`.execute(db)
    return rows.map(({ name }) => name).find(name => !known.includes(name))
  } catch {
    // Then the migrator's own error says more.
    return undefined
  }
}

/**
 * Throws if the database never had Latchkey's schema. A database that is only read must not be changed.
 * @param place - as for `migrate`.
 */
export async function requireSchema (db: Kysely<Tables>, place?: string): Promise<void> {
  const tables = await db.introspection.getTables()
  const names = new Set(tables.filter(table => table.schema === place).map(({ name }) => name))
  if (!names.has(MIGRATION_TABLE) || !names.has('latchkey_users')) {
    throw new Error('it has no tables of Latchkey, so no service has used it')
  }
}

/** Returns the schema's history, oldest first. A released migration never changes. Add another one instead. */
function createMigrations (dialect: SchemaDialect): Record<string, Migration> {
  return {
    '0001_initial': {
      async up (db) {
        await createUsers(db, dialect)
        await createSessions(db, dialect)
        await createStatusLists(db, dialect)
        await createRules(db, dialect)
        await createClients(db, dialect)
        await createPersonalAccessTokens(db, dialect)
        await createKeys(db, dialect)
        await createAttempts(db, dialect)
        await createEvents(db, dialect)
        await createMeta(db, dialect)
        await createSettings(db, dialect)
        await createRoles(db, dialect)
        await dialect.announceChanges(db)
      }
    }
  }
}

async function createUsers (db: Kysely<Tables>, { text }: SchemaDialect): Promise<void> {
  await db.schema.createTable('latchkey_users')
    .addColumn('id', text, column => column.primaryKey())
    .addColumn('username', text, column => column.notNull())
    .addColumn('username_key', text, column => column.notNull().unique())
    .addColumn('password_hash', text, column => column.notNull())
    .addColumn('password_changed_at', 'bigint', column => column.notNull())
    .addColumn('scope', text, column => column.notNull())
    .addColumn('roles', text, column => column.notNull().defaultTo(''))
    .addColumn('disabled_at', 'bigint')
    .addColumn('administrator', 'bigint')
    .addColumn('dummy_hash', text)
    .addColumn('created_at', 'bigint', column => column.notNull())
    .addColumn('updated_at', 'bigint', column => column.notNull())
    .execute()
  await db.schema.createIndex('latchkey_users_administrator').on('latchkey_users').column('administrator')
    .where('administrator', 'is not', null).execute()
  // Finds the users who hold a role without reading every user.
  await db.schema.createIndex('latchkey_users_roles').on('latchkey_users').column('roles')
    .where('roles', '!=', '').execute()
  await db.schema.createIndex('latchkey_users_dummy_hash').on('latchkey_users').column('dummy_hash')
    .where('dummy_hash', 'is not', null).execute()
}

async function createSessions (db: Kysely<Tables>, { text }: SchemaDialect): Promise<void> {
  await db.schema.createTable('latchkey_sessions')
    .addColumn('id', text, column => column.primaryKey())
    .addColumn('user_id', text, column => column.notNull())
    .addColumn('client_id', text, column => column.notNull())
    .addColumn('scope', text, column => column.notNull())
    .addColumn('nonce', text, column => column.notNull())
    .addColumn('generation', 'bigint', column => column.notNull())
    .addColumn('rotated_at', 'bigint', column => column.notNull())
    .addColumn('seen_generation', 'bigint', column => column.notNull().defaultTo(0))
    .addColumn('created_at', 'bigint', column => column.notNull())
    .addColumn('last_used_at', 'bigint', column => column.notNull())
    .addColumn('idle_expires_at', 'bigint', column => column.notNull())
    .addColumn('expires_at', 'bigint', column => column.notNull())
    .addColumn('ended_at', 'bigint')
    .addColumn('end_reason', text)
    .addColumn('auth_time', 'bigint', column => column.notNull().defaultTo(0))
    .addColumn('amr', text, column => column.notNull().defaultTo(''))
    .addColumn('user_agent', text)
    .addColumn('address', text)
    .addColumn('account', text)
    .addColumn('network', text)
    .addColumn('status_list', text)
    .addColumn('status_index', 'bigint')
    .execute()
  for (const [name, columns] of [
    ['user_id', ['user_id', 'ended_at']],
    ['client_id', ['client_id', 'ended_at']],
    ['idle_expires_at', ['idle_expires_at']],
    ['account', ['account', 'network']]
  ] as const) {
    await db.schema.createIndex(`latchkey_sessions_${name}`).on('latchkey_sessions').columns([...columns]).execute()
  }
  await db.schema.createIndex('latchkey_sessions_status').on('latchkey_sessions')
    .columns(['status_list', 'status_index']).unique()
    .where('status_list', 'is not', null).execute()
  // Finds the ended sessions of a list, in the order in which they ended.
  await db.schema.createIndex('latchkey_sessions_status_ended').on('latchkey_sessions')
    .columns(['status_list', 'ended_at', 'status_index'])
    .where('status_list', 'is not', null).where('ended_at', 'is not', null).execute()
}

async function createStatusLists (db: Kysely<Tables>, { text }: SchemaDialect): Promise<void> {
  await db.schema.createTable('latchkey_status_lists')
    .addColumn('id', text, column => column.primaryKey())
    .addColumn('created_at', 'bigint', column => column.notNull())
    .addColumn('given', 'bigint', column => column.notNull())
    .addColumn('open', 'bigint')
    .execute()
  await db.schema.createIndex('latchkey_status_lists_open').on('latchkey_status_lists').column('open')
    .where('open', 'is not', null).execute()
}

async function createRules (db: Kysely<Tables>, dialect: SchemaDialect): Promise<void> {
  const { text } = dialect
  await dialect.addSequence(db.schema.createTable('latchkey_rules'))
    .addColumn('kind', text, column => column.notNull())
    .addColumn('value', text, column => column.notNull())
    .addColumn('session_id', text)
    .addColumn('issued_before', 'bigint')
    .addColumn('reason', text)
    .addColumn('expires_at', 'bigint', column => column.notNull())
    .execute()
  for (const column of ['session_id', 'expires_at'] as const) {
    await db.schema.createIndex(`latchkey_rules_${column}`).on('latchkey_rules').column(column).execute()
  }
}

async function createClients (db: Kysely<Tables>, { text }: SchemaDialect): Promise<void> {
  await db.schema.createTable('latchkey_clients')
    .addColumn('id', text, column => column.primaryKey())
    .addColumn('name', text, column => column.notNull())
    .addColumn('secret_hash', text, column => column.notNull())
    .addColumn('secret_changed_at', 'bigint', column => column.notNull())
    .addColumn('scope', text, column => column.notNull())
    .addColumn('grants', text, column => column.notNull())
    .addColumn('created_at', 'bigint', column => column.notNull())
    .addColumn('updated_at', 'bigint', column => column.notNull())
    .execute()
}

async function createPersonalAccessTokens (db: Kysely<Tables>, { text }: SchemaDialect): Promise<void> {
  await db.schema.createTable('latchkey_personal_access_tokens')
    .addColumn('id', text, column => column.primaryKey())
    .addColumn('user_id', text, column => column.notNull())
    .addColumn('name', text, column => column.notNull())
    .addColumn('value_hash', text, column => column.notNull().unique())
    .addColumn('scope', text, column => column.notNull())
    .addColumn('created_at', 'bigint', column => column.notNull())
    .addColumn('expires_at', 'bigint')
    .addColumn('last_used_at', 'bigint')
    .execute()
  await db.schema.createIndex('latchkey_personal_access_tokens_user_id').on('latchkey_personal_access_tokens')
    .columns(['user_id', 'id']).execute()
  await db.schema.createIndex('latchkey_personal_access_tokens_expires_at').on('latchkey_personal_access_tokens')
    .column('expires_at').where('expires_at', 'is not', null).execute()
}

async function createKeys (db: Kysely<Tables>, { text }: SchemaDialect): Promise<void> {
  await db.schema.createTable('latchkey_keys')
    .addColumn('kid', text, column => column.primaryKey())
    .addColumn('algorithm', text, column => column.notNull())
    .addColumn('sealed', text, column => column.notNull())
    .addColumn('created_at', 'bigint', column => column.notNull())
    .addColumn('activates_at', 'bigint')
    .addColumn('retires_at', 'bigint')
    .addColumn('expires_at', 'bigint')
    .addColumn('revoked_at', 'bigint')
    .addColumn('issuer', text)
    .addColumn('audience', text)
    .addColumn('scope', text)
    .addColumn('leniency', text)
    .execute()
}

async function createAttempts (db: Kysely<Tables>, { text }: SchemaDialect): Promise<void> {
  await db.schema.createTable('latchkey_attempts')
    .addColumn('key', text, column => column.primaryKey())
    .addColumn('account', text)
    .addColumn('failures', 'bigint', column => column.notNull())
    .addColumn('pending', text, column => column.notNull())
    .addColumn('last_attempt_at', 'bigint', column => column.notNull())
    .addColumn('blocked_until', 'bigint', column => column.notNull())
    .addColumn('expires_at', 'bigint', column => column.notNull())
    .execute()
  for (const column of ['account', 'expires_at'] as const) {
    await db.schema.createIndex(`latchkey_attempts_${column}`).on('latchkey_attempts').column(column).execute()
  }
}

async function createEvents (db: Kysely<Tables>, dialect: SchemaDialect): Promise<void> {
  const { text } = dialect
  await dialect.addSequence(db.schema.createTable('latchkey_events'))
    .addColumn('at', 'bigint', column => column.notNull())
    .addColumn('type', text, column => column.notNull())
    .addColumn('outcome', text, column => column.notNull())
    .addColumn('actor_kind', text, column => column.notNull())
    .addColumn('actor_id', text)
    .addColumn('address', text)
    .addColumn('subject', text)
    .addColumn('session_id', text)
    .addColumn('client_id', text)
    .addColumn('details', text, column => column.notNull())
    .execute()
  await db.schema.createIndex('latchkey_events_at').on('latchkey_events').column('at').execute()
  for (const column of ['type', 'actor_id', 'subject'] as const) {
    await db.schema.createIndex(`latchkey_events_${column}`).on('latchkey_events').columns([column, 'seq']).execute()
  }
}

async function createMeta (db: Kysely<Tables>, { text }: SchemaDialect): Promise<void> {
  await db.schema.createTable('latchkey_meta')
    .addColumn('name', text, column => column.primaryKey())
    .addColumn('value', 'bigint', column => column.notNull())
    .execute()
}

async function createSettings (db: Kysely<Tables>, { text }: SchemaDialect): Promise<void> {
  await db.schema.createTable('latchkey_settings')
    .addColumn('name', text, column => column.primaryKey())
    .addColumn('value', text, column => column.notNull())
    .execute()
}

async function createRoles (db: Kysely<Tables>, { text }: SchemaDialect): Promise<void> {
  await db.schema.createTable('latchkey_roles')
    .addColumn('name', text, column => column.primaryKey())
    .addColumn('scope', text, column => column.notNull())
    .execute()
}
