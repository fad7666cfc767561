import { join } from 'node:path'
import Database from 'better-sqlite3'
import pg from 'pg'
import t from 'tap'
import type { Test } from 'tap'
import { startPostgres } from '../postgres/server.js'
import { run } from './support.js'

/** Of the file that imports this, and of no other: it is crashed. */
export const server = await startPostgres()
t.teardown(() => server.stop())

let databases = 0

/** The URL of a new database. */
export async function createDatabase (): Promise<string> {
  const name = `copy_${++databases}`
  await query(server.url, `create database ${name}`)
  return server.url.replace(/\/[^/]*$/, `/${name}`)
}

/** Runs SQL on a server. */
export async function query<Row extends pg.QueryResultRow> (url: string, text: string): Promise<Row[]> {
  const client = new pg.Client(url)
  await client.connect()
  try {
    return (await client.query<Row>(text)).rows
  } finally {
    await client.end()
  }
}

/** Runs SQL on a file. */
export function change (file: string, text: string): void {
  const database = new Database(file)
  database.exec(text)
  database.close()
}

/** The first value that a query on a file gives. */
export const read = <Value>(file: string, text: string): Value => {
  const database = new Database(file)
  const value = database.prepare(text).pluck().get() as Value
  database.close()
  return value
}

/** A folder with a database in it that has tables, a key and nobody. */
export async function createSource (t: Test, text = ''): Promise<{ directory: string, file: string }> {
  const directory = t.testdir()
  const file = join(directory, 'auth.db')
  await run(directory, ['migrate'], { env: { LATCHKEY_DATABASE: file } })
  if (text !== '') change(file, text)
  return { directory, file }
}

/** SQL that adds a user. */
export const addUser = (
  id: string
): string => `insert into latchkey_users (id, username, username_key, password_hash, password_changed_at, scope, created_at, updated_at) values ('${id}', '${id}', '${id}', 'x', 1, '', 1, 1);`

export const countUsers = async (url: string): Promise<number> => Number(
  (await query<{ count: string }>(url, 'select count(*) from latchkey_users'))[0]?.count
)
