import pg from 'pg'
import { UnfitDatabase } from '../store.js'
import { URL_PARTS } from './url.js'

/** The servers that a URL names. */
export interface Hosts {
  /** A URL for each server. */
  readonly urls: readonly string[]
  /** The URL of the primary, as far as this process knows. */
  current: string
}

/** The values of `target_session_attrs` that allow the primary. Latchkey never uses a standby. */
const FITTING = ['any', 'read-write', 'primary']

/**
 * Reads a URL that may name several servers as libpq does: `postgres://user@one:5432,two:5432/database`, or with lists
 * in the parameters `host` and `port`. `pg` itself knows only one server.
 * @throws UnfitDatabase that says what is wrong with the URL, and never contains its password.
 */
export function readHosts (url: string): Hosts {
  const [, start = '', authority = '', path = '', query = ''] = URL_PARTS.exec(url) ?? []
  const parameters = new URLSearchParams(query)
  const wanted = parameters.getAll('target_session_attrs').find(value => !FITTING.includes(value))
  if (wanted !== undefined) {
    throw new UnfitDatabase(`its target_session_attrs is ${JSON.stringify(wanted.slice(0, 40))}, but Latchkey needs the ` +
      `primary: it must be ${FITTING.join(', ')}, or absent`)
  }
  const named = parameters.get('host')
  const hosts = (named ?? authority).split(',')
  const ports = parameters.get('port')?.split(',')
  const urls = hosts.length === 1
    ? [url]
    : hosts.map((host, index) => {
      const own = new URLSearchParams(parameters)
      if (named !== null) own.set('host', host)
      if (ports !== undefined) own.set('port', portOf(ports, index, hosts))
      if (host === '') throw new UnfitDatabase('its list of hosts contains an empty one: remove a comma')
      const rest = own.toString()
      return `${start}${named === null ? host : ''}${path}${rest === '' ? '' : `?${rest}`}`
    })
  for (const one of urls) assertReadable(one)
  return { urls, current: urls[0] ?? url }
}

function portOf (ports: readonly string[], index: number, hosts: readonly string[]): string {
  if (ports.length !== 1 && ports.length !== hosts.length) {
    throw new UnfitDatabase(`it names ${hosts.length} hosts and ${ports.length} ports: give one port, or one for each host`)
  }
  return ports[index] ?? ports[0] ?? ''
}

function assertReadable (url: string): void {
  try {
    // Parses the URL, and reads the files that its parameters name.
    void new pg.Client(url)
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    throw new UnfitDatabase(code === 'ERR_INVALID_URL'
      ? 'it is not a valid URL; percent-encode characters such as /, @ and # in the user and the password'
      : message)
  }
}

/** Returns a client for pools. Each new one connects to the server that is then current. */
export function toClientClass (hosts: Hosts, config: pg.ClientConfig): new () => pg.ClientBase {
  return class CurrentHostClient extends pg.Client {
    constructor () {
      super({ ...config, connectionString: hosts.current })
    }
  }
}
