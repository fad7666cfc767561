import { setTimeout as delay } from 'node:timers/promises'
import pg from 'pg'
import { storeUnavailable, UnfitDatabase, UnfitServer } from '../store.js'
import type { OpenOptions } from '../store.js'
import { greet, toClientConfig } from './connection.js'
import { isFinal, messageOf } from './errors.js'
import { readHosts } from './hosts.js'
import type { Hosts } from './hosts.js'
import { assertSessions, isPooled } from './pooler.js'
import { createTimelines } from './timeline.js'
import type { Timelines } from './timeline.js'
import { describeUrl } from './url.js'

/** The shortest time between two searches for the primary, in milliseconds. */
const SHORTEST_PAUSE = 1_000

/** How long the first search waits for the other servers after the first answer, in milliseconds. */
const GRACE = 500

/** The servers that the URL leads to. */
export interface Servers {
  readonly hosts: Hosts
  readonly timelines: Timelines
  /** Asks all servers. Resolves when a primary was found, and rejects if there is none. */
  find (): Promise<void>
  /**
   * Keeps asking, on new connections. A connection that still works may lead to a previous primary, and only a new one
   * shows that another server has taken over.
   */
  watch (options: WatchOptions): void
  close (): void
}

interface WatchOptions {
  /** As for `greet`. */
  schema: string
  /** Milliseconds. */
  bound: number
  /** Receives the start time of the server that was found. */
  onServer: (started: number) => void
}

/**
 * Finds the primary among the servers of the URL.
 * @throws Error if the URL is wrong, if no server can be used, or if a pooler cannot be used.
 */
export async function findServers (
  url: string,
  { log, acceptLostCommits = false }: Pick<OpenOptions, 'log' | 'acceptLostCommits'>
): Promise<Servers> {
  const hosts = readHosts(url)
  const timelines = createTimelines({ log, acceptLostCommits })
  const clients = new Set<pg.Client>()
  const asking = new Map<string, Promise<void>>()
  const closing = new AbortController()
  let watched: WatchOptions | undefined

  async function askServer (one: string): Promise<void> {
    await withClient(clients, one, async client => {
      const server = await greet(client, { timelines, schema: watched?.schema })
      // Only at the start, because the mode of a pooler rarely changes while a node runs.
      if (watched === undefined && isPooled(client, server)) {
        await withClient(clients, one, second => assertSessions(client, second))
      }
      hosts.current = one
      watched?.onServer(server.started)
    })
  }

  function ask (one: string): Promise<void> {
    const asked = asking.get(one) ?? askServer(one).finally(() => asking.delete(one))
    asking.set(one, asked)
    return asked
  }

  async function find (): Promise<void> {
    const answers = hosts.urls.map(ask)
    try {
      await Promise.any(answers)
    } catch (error) {
      throw noPrimary(hosts, (error as AggregateError).errors)
    }
    // A previous primary may have answered first.
    if (watched !== undefined) return
    await Promise.race([Promise.allSettled(answers), delay(GRACE, undefined, { ref: false })])
  }

  async function keepFinding (pause: number): Promise<void> {
    while (!closing.signal.aborted) {
      await delay(pause, undefined, { ref: false, signal: closing.signal }).catch(() => {})
      // A failure is reported by the next request that needs a connection.
      if (!closing.signal.aborted) await find().catch(() => {})
    }
  }

  await find()
  return {
    hosts,
    timelines,
    find,
    watch (options) {
      watched = options
      keepFinding(Math.max(options.bound, SHORTEST_PAUSE)).catch(() => {})
    },
    close () {
      closing.abort()
      for (const client of clients) client.end().catch(() => {})
    }
  }
}

/** Runs `work` with its own connection. */
async function withClient (
  clients: Set<pg.Client>, url: string, work: (client: pg.Client) => Promise<void>
): Promise<void> {
  const client = new pg.Client(toClientConfig(url))
  client.on('error', () => {})
  clients.add(client)
  try {
    await client.connect()
    await work(client)
  } finally {
    clients.delete(client)
    // Not awaited, because a server that is cut off would delay it until the timeout of the operating system.
    client.end().catch(() => {})
  }
}

/** Returns the error of a search that found no primary. It names each server if there are several. */
function noPrimary ({ urls }: Hosts, errors: readonly unknown[]): unknown {
  const [first] = errors
  if (first instanceof UnfitDatabase) return first
  if (errors.length === 1 || errors.map(storeUnavailable).every(isFinal)) return storeUnavailable(first)
  return storeUnavailable(new Error(
    `none of its servers is a primary that this node may use (${
      errors.map((error, index) => `${describeUrl(urls[index] ?? '')}: ${messageOf(error)}`).join('; ')})`,
    { cause: errors.find(error => error instanceof UnfitServer) ?? first }
  ))
}
