import type { CreateTableBuilder, Kysely, Migration, RawBuilder } from 'kysely'
import { DEFAULT_MIGRATION_TABLE, Migrator, sql } from './kysely.js'
import type { Tables } from './tables.js'

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

/** Brings the schema up to date. If several processes do so at the same time, one migrates and the others wait. */
export async function migrate (db: Kysely<Tables>, dialect: SchemaDialect): Promise<void> {
  const migrations = createMigrations(dialect)
  const migrator = new Migrator({ db, provider: { getMigrations: async () => migrations } })
  const { error } = await migrator.migrateToLatest()
  if (error !== undefined) throw error
}

/** Throws if the database never had Latchkey's schema. A database that is only read must not be changed. */
export async function requireSchema (db: Kysely<Tables>): Promise<void> {
  const tables = await db.introspection.getTables({ withInternalKyselyTables: true })
  const names = new Set(tables.map(({ name }) => name))
  if (!names.has(DEFAULT_MIGRATION_TABLE) || !names.has('users')) {
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
        await createRules(db, dialect)
        await createKeys(db, dialect)
        await createMeta(db, dialect)
      }
    },
    '0002_key_life': { up: db => addKeyLife(db, dialect) },
    '0003_attempts': { up: db => addAttempts(db, dialect) },
    '0004_clients': { up: db => addClients(db, dialect) },
    '0005_audit': { up: db => addAudit(db, dialect) },
    '0006_administration': { up: addAdministration },
    '0007_changes': { up: db => dialect.announceChanges(db) },
    '0008_status_lists': { up: db => addStatusLists(db, dialect) }
  }
}

async function createUsers (db: Kysely<Tables>, { text }: SchemaDialect): Promise<void> {
  await db.schema.createTable('users')
    .addColumn('id', text, column => column.primaryKey())
    .addColumn('username', text, column => column.notNull())
    .addColumn('username_key', text, column => column.notNull().unique())
    .addColumn('password_hash', text, column => column.notNull())
    .addColumn('password_changed_at', 'bigint', column => column.notNull())
    .addColumn('scope', text, column => column.notNull())
    .addColumn('disabled_at', 'bigint')
    .addColumn('created_at', 'bigint', column => column.notNull())
    .addColumn('updated_at', 'bigint', column => column.notNull())
    .execute()
}

async function createSessions (db: Kysely<Tables>, { text }: SchemaDialect): Promise<void> {
  await db.schema.createTable('sessions')
    .addColumn('id', text, column => column.primaryKey())
    .addColumn('user_id', text, column => column.notNull())
    .addColumn('client_id', text, column => column.notNull())
    .addColumn('scope', text, column => column.notNull())
    .addColumn('nonce', text, column => column.notNull())
    .addColumn('generation', 'bigint', column => column.notNull())
    .addColumn('rotated_at', 'bigint', column => column.notNull())
    .addColumn('created_at', 'bigint', column => column.notNull())
    .addColumn('last_used_at', 'bigint', column => column.notNull())
    .addColumn('idle_expires_at', 'bigint', column => column.notNull())
    .addColumn('expires_at', 'bigint', column => column.notNull())
    .addColumn('ended_at', 'bigint')
    .addColumn('user_agent', text)
    .addColumn('address', text)
    .execute()
  await db.schema.createIndex('sessions_user_id').on('sessions').columns(['user_id', 'ended_at']).execute()
  await db.schema.createIndex('sessions_idle_expires_at').on('sessions').column('idle_expires_at').execute()
}

async function createRules (db: Kysely<Tables>, dialect: SchemaDialect): Promise<void> {
  const { text } = dialect
  await dialect.addSequence(db.schema.createTable('rules'))
    .addColumn('kind', text, column => column.notNull())
    .addColumn('value', text, column => column.notNull())
    .addColumn('session_id', text)
    .addColumn('issued_before', 'bigint')
    .addColumn('expires_at', 'bigint', column => column.notNull())
    .execute()
  await db.schema.createIndex('rules_session_id').on('rules').column('session_id').execute()
  await db.schema.createIndex('rules_expires_at').on('rules').column('expires_at').execute()
}

async function createKeys (db: Kysely<Tables>, { text }: SchemaDialect): Promise<void> {
  await db.schema.createTable('keys')
    .addColumn('kid', text, column => column.primaryKey())
    .addColumn('algorithm', text, column => column.notNull())
    .addColumn('sealed', text, column => column.notNull())
    .addColumn('created_at', 'bigint', column => column.notNull())
    .execute()
}

async function createMeta (db: Kysely<Tables>, { text }: SchemaDialect): Promise<void> {
  await db.schema.createTable('meta')
    .addColumn('name', text, column => column.primaryKey())
    .addColumn('value', 'bigint', column => column.notNull())
    .execute()
}

async function addKeyLife (db: Kysely<Tables>, { text }: SchemaDialect): Promise<void> {
  for (const column of ['activates_at', 'retires_at', 'expires_at', 'revoked_at'] as const) {
    await db.schema.alterTable('keys').addColumn(column, 'bigint').execute()
  }
  for (const column of ['issuer', 'audience', 'scope'] as const) {
    await db.schema.alterTable('keys').addColumn(column, text).execute()
  }
  await db.updateTable('keys').set(eb => ({ activates_at: eb.ref('created_at') })).execute()
}

async function addAttempts (db: Kysely<Tables>, { text }: SchemaDialect): Promise<void> {
  await db.schema.createTable('attempts')
    .addColumn('key', text, column => column.primaryKey())
    .addColumn('account', text)
    .addColumn('failures', 'bigint', column => column.notNull())
    .addColumn('pending', text, column => column.notNull())
    .addColumn('last_attempt_at', 'bigint', column => column.notNull())
    .addColumn('blocked_until', 'bigint', column => column.notNull())
    .addColumn('expires_at', 'bigint', column => column.notNull())
    .execute()
  await db.schema.createIndex('attempts_account').on('attempts').column('account').execute()
  await db.schema.createIndex('attempts_expires_at').on('attempts').column('expires_at').execute()
  // SQLite adds one column at a time.
  await db.schema.alterTable('sessions').addColumn('account', text).execute()
  await db.schema.alterTable('sessions').addColumn('network', text).execute()
  await db.schema.createIndex('sessions_account').on('sessions').columns(['account', 'network']).execute()
}

async function addClients (db: Kysely<Tables>, { text }: SchemaDialect): Promise<void> {
  await db.schema.createTable('clients')
    .addColumn('id', text, column => column.primaryKey())
    .addColumn('name', text, column => column.notNull())
    .addColumn('secret_hash', text, column => column.notNull())
    .addColumn('secret_changed_at', 'bigint', column => column.notNull())
    .addColumn('scope', text, column => column.notNull())
    .addColumn('grants', text, column => column.notNull())
    .addColumn('created_at', 'bigint', column => column.notNull())
    .addColumn('updated_at', 'bigint', column => column.notNull())
    .execute()
  await db.schema.createIndex('sessions_client_id').on('sessions').columns(['client_id', 'ended_at']).execute()
}

async function addAudit (db: Kysely<Tables>, dialect: SchemaDialect): Promise<void> {
  const { text } = dialect
  await dialect.addSequence(db.schema.createTable('events'))
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
  await db.schema.createIndex('events_at').on('events').column('at').execute()
  await db.schema.createIndex('events_type').on('events').columns(['type', 'seq']).execute()
  await db.schema.createIndex('events_actor_id').on('events').columns(['actor_id', 'seq']).execute()
  await db.schema.createIndex('events_subject').on('events').columns(['subject', 'seq']).execute()
}

async function addAdministration (db: Kysely<Tables>): Promise<void> {
  await db.schema.alterTable('users').addColumn('administrator', 'bigint').execute()
  // LIKE ignores letter case in one engine and not in the other. Scopes are case-sensitive.
  await sql`update users set administrator = 1 where disabled_at is null
    and replace(' ' || scope || ' ', ' users:write ', '') <> ' ' || scope || ' '`.execute(db)
  await db.schema.createIndex('users_administrator').on('users').column('administrator')
    .where('administrator', 'is not', null).execute()
}

async function addStatusLists (db: Kysely<Tables>, { text }: SchemaDialect): Promise<void> {
  await db.schema.createTable('status_lists')
    .addColumn('id', text, column => column.primaryKey())
    .addColumn('created_at', 'bigint', column => column.notNull())
    .addColumn('given', 'bigint', column => column.notNull())
    .addColumn('open', 'bigint')
    .execute()
  await db.schema.createIndex('status_lists_open').on('status_lists').column('open')
    .where('open', 'is not', null).execute()
  await db.schema.alterTable('sessions').addColumn('status_list', text).execute()
  await db.schema.alterTable('sessions').addColumn('status_index', 'bigint').execute()
  await db.schema.createIndex('sessions_status').on('sessions').columns(['status_list', 'status_index']).unique()
    .where('status_list', 'is not', null).execute()
  // Finds the ended sessions of a list, in the order in which they ended.
  await db.schema.createIndex('sessions_status_ended').on('sessions')
    .columns(['status_list', 'ended_at', 'status_index'])
    .where('status_list', 'is not', null).where('ended_at', 'is not', null).execute()
}
