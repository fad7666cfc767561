import pg from 'pg'
import { UnfitDatabase } from '../store.js'
import { splitUrl } from './url.js'

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
 * Reads a URL that may name several servers, as in libpq: `postgres://user@one:5432,two:5432/database`, or with lists
 * in the parameters `host` and `port`. `pg` itself supports only one server.
 * @throws UnfitDatabase. Its message says what is wrong with the URL, and never contains its password.
 */
export function readHosts (url: string): Hosts {
  const { start, hosts: authority, path, query } = splitUrl(url)
  const parameters = new URLSearchParams(query)
  assertPrimary(parameters)
  const named = parameters.get('host')?.split(',')
  const ports = parameters.get('port')?.split(',')
  const hosts = named ?? authority
  const urls = hosts.length === 1
    ? [url]
    : hosts.map((host, index) => {
      if (host === '') throw new UnfitDatabase('its list of hosts contains an empty one: remove a comma')
      const own = new URLSearchParams(parameters)
      if (named !== undefined) own.set('host', host)
      if (ports !== undefined) own.set('port', portOf(ports, index, hosts))
      const authority = named === undefined ? host : ''
      return `${start}${authority}${path}?${own.toString()}`
    })
  for (const one of urls) createClient(one)
  return { urls, current: urls[0] ?? url }
}

function assertPrimary (parameters: URLSearchParams): void {
  const unfit = parameters.getAll('target_session_attrs').find(value => !FITTING.includes(value))
  if (unfit === undefined) return
  throw new UnfitDatabase(`its target_session_attrs is ${JSON.stringify(unfit.slice(0, 40))}, but Latchkey needs the ` +
    `primary: it must be ${FITTING.join(', ')}, or absent`)
}

function portOf (ports: readonly string[], index: number, hosts: readonly string[]): string {
  if (ports.length === 1 || ports.length === hosts.length) return ports[index] ?? ports[0] ?? ''
  throw new UnfitDatabase(
    `it names ${hosts.length} hosts and ${ports.length} ports: give one port, or one for each host`
  )
}

/** Creates a client without connecting. It parses the URL, and reads the files that the parameters name. */
function createClient (url: string): pg.Client {
  try {
    return new pg.Client(url)
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    throw new UnfitDatabase(code === 'ERR_INVALID_URL'
      ? 'it is not a valid URL; percent-encode characters such as /, @ and # in the user and the password'
      : message)
  }
}

/** Returns a class of clients for pools. Each new client connects to the server that is current at that time. */
export function toClientClass (hosts: Hosts, config: pg.ClientConfig): new () => pg.ClientBase {
  return class CurrentHostClient extends pg.Client {
    constructor () {
      super({ ...config, connectionString: hosts.current })
    }
  }
}
