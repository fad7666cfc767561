/** Whether the option `database` is the URL of a PostgreSQL database. */
export function isUrl (database: string): boolean {
  return /^postgres(ql)?:\/\//i.test(database)
}

/** Returns a URL for a message, without the password, and without the parameters, because they may contain one too. */
export function describeUrl (url: string): string {
  try {
    const { protocol, username, host, pathname } = new URL(url)
    return `${protocol}//${username === '' ? '' : `${username}@`}${host}${pathname}`
  } catch {
    return 'postgres://'
  }
}
