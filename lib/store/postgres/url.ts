/** Whether the option `database` is the URL of a PostgreSQL database. */
export function isUrl (database: string): boolean {
  return /^postgres(ql)?:\/\//i.test(database)
}

/** The scheme and the user, the hosts, the path, and the parameters. */
export const URL_PARTS = /^(postgres(?:ql)?:\/\/(?:[^/?#]*@)?)([^/?#]*)([^?#]*)(?:\?([^#]*))?/i

/** Returns a URL for a message, without the password, and without the parameters, because they may contain one too. */
export function describeUrl (url: string): string {
  const [, start = '', hosts = '', path = ''] = URL_PARTS.exec(url) ?? []
  try {
    const urls = hosts.split(',').map(host => new URL(start + host + path))
    const { protocol = '', username = '', pathname = '' } = urls[0] ?? {}
    return `${protocol}//${username === '' ? '' : `${username}@`}${urls.map(({ host }) => host).join()}${pathname}`
  } catch {
    return 'postgres://'
  }
}
