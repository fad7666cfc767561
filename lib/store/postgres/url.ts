/** Whether the option `database` is the URL of a PostgreSQL database. */
export function isUrl (database: string): boolean {
  return /^postgres(ql)?:\/\//i.test(database)
}

/** The parts of a URL that may name several hosts, separated by commas. `URL` rejects such a list with ports. */
interface Parts {
  /** The scheme and the user. */
  start: string
  hosts: string[]
  path: string
  query: string
}

/** Splits a URL. Only the last `@` before the path ends the user and the password. */
export function splitUrl (url: string): Parts {
  const [beforeFragment = ''] = url.split('#', 1)
  const [address = '', ...query] = beforeFragment.split('?')
  const [scheme = '', , authority = '', ...path] = address.split('/')
  const hostsAt = authority.lastIndexOf('@') + 1
  return {
    start: `${scheme}//${authority.slice(0, hostsAt)}`,
    hosts: authority.slice(hostsAt).split(','),
    path: path.map(part => `/${part}`).join(''),
    query: query.join('?')
  }
}

/** Returns a URL for a message, without the password, and without the parameters, because they may contain one too. */
export function describeUrl (url: string): string {
  const { start, hosts, path } = splitUrl(url)
  try {
    const urls = hosts.map(host => new URL(start + host + path))
    const { protocol = '', username = '', pathname = '' } = urls[0] ?? {}
    return `${protocol}//${username === '' ? '' : `${username}@`}${urls.map(({ host }) => host).join()}${pathname}`
  } catch {
    return 'postgres://'
  }
}
