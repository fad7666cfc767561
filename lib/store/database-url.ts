/** What errors call the database that a service is started with. */
export const DATABASE_OPTION = 'The option database (LATCHKEY_DATABASE)'

/** Whether the option `database` names a PostgreSQL database, and not a file. */
export function isPostgres (database: string): boolean {
  return /^postgres(ql)?:\/\//i.test(database)
}

/** The option `database` for a message: without the password, and without the parameters, which may hold one too. */
export function describeDatabase (database: string): string {
  if (!isPostgres(database)) return database
  try {
    const { protocol, username, host, pathname } = new URL(database)
    return `${protocol}//${username === '' ? '' : `${username}@`}${host}${pathname}`
  } catch {
    return 'postgres://'
  }
}
