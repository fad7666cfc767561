import { setTimeout as delay } from 'node:timers/promises'
import pg from 'pg'
import { MACHINE, readMoment } from '../../time/elapsed-time.js'
import type { Moment } from '../../time/elapsed-time.js'
import type { OpenOptions } from '../store.js'
import { CHANNEL } from './channel.js'
import { toChangesQuery, toClientConfig } from './connection.js'
import { toSearchPath } from './search-path.js'
import type { Servers } from './servers.js'
import { within } from './timeout.js'
import type { ChangesRow, TimelineRow } from './timeline.js'

/** How often within the bound the listener asks whether it missed a notification. */
const POLLS_PER_BOUND = 4

/** Milliseconds between two attempts to listen again. */
const RETRY_DELAY = 250

/** Milliseconds to connect and to begin to listen. `pg` itself gives up earlier. */
const PATIENCE = 7_000

export interface ListenerOptions {
  servers: Pick<Servers, 'hosts' | 'timelines'>
  /** The schema of Latchkey's tables. */
  schema: string
  /** Milliseconds. */
  bound: number
  /** Aborted when the app closes. */
  closing: AbortSignal
  /** Receives each answer, and the moment when the listener asked for it. */
  take: (row: ChangesRow | undefined, asked: Moment) => void
  log: OpenOptions['log']
}

export interface Listener {
  /** Replaces the connection, because another server has taken over. */
  renew (): void
  /** Resolves after `closing`, when the listener has stopped. */
  readonly stopped: Promise<void>
}

/** The connection that currently listens. */
interface Line {
  readonly client: pg.Client
  /**
   * Aborted when the connection is lost. It is not a promise, because a promise that never settles keeps everything
   * that was ever raced with it.
   */
  readonly lost: AbortController
  isNotified: boolean
  /** Ends the pause between two queries. */
  wake: () => void
}

/** Listens until `closing`. A lost connection is replaced. */
export function startListener (options: ListenerOptions): Listener {
  const current: { line: Line | undefined } = { line: undefined }
  return {
    renew () {
      if (current.line !== undefined) lose(current.line, new Error('Another server has taken over'))
    },
    stopped: keepListening(options, current)
  }
}

async function keepListening (options: ListenerOptions, current: { line: Line | undefined }): Promise<void> {
  const { closing, log } = options
  while (!closing.aborted) {
    try {
      await listen(options, current)
    } catch (error) {
      if (closing.aborted) return
      log(error, CONNECTION_LOST)
      await delay(RETRY_DELAY, undefined, { ref: false, signal: closing }).catch(() => {})
    }
  }
}

const CONNECTION_LOST = 'the connection that receives notifications of revocations by other nodes is lost; ' +
  'until it is replaced, this node polls the database'

function lose (line: Line, error: Error): void {
  line.lost.abort(error)
  line.wake()
}

/** Listens on one connection until it is lost. Always rejects. */
async function listen (options: ListenerOptions, current: { line: Line | undefined }): Promise<void> {
  const { servers, schema, closing } = options
  const client = new pg.Client({ ...toClientConfig(servers.hosts.current), application_name: 'latchkey listener' })
  const line: Line = { client, lost: new AbortController(), isNotified: false, wake: () => {} }
  const close = (): void => lose(line, new Error('The app has closed'))
  client.on('error', error => lose(line, error))
  client.on('end', () => lose(line, new Error('The server has closed the connection')))
  closing.addEventListener('abort', close)
  current.line = line
  try {
    await subscribe(line, schema)
    for (;;) await poll(line, options)
  } catch (error) {
    line.lost.signal.throwIfAborted()
    throw error
  } finally {
    current.line = undefined
    closing.removeEventListener('abort', close)
    client.removeAllListeners('notification')
    // Not awaited, because a server that is cut off would delay it until the timeout of the operating system.
    client.end().catch(() => {})
  }
}

async function subscribe (line: Line, schema: string): Promise<void> {
  const { client, lost } = line
  await within(PATIENCE, client.connect(), lost.signal)
  // The content of a notification is not trusted, because every role of the server can send one.
  client.on('notification', () => {
    line.isNotified = true
    line.wake()
  })
  await within(PATIENCE, client.query(`set search_path = ${toSearchPath(schema)}; listen ${CHANNEL}`), lost.signal)
}

/** Asks for the number of the last change, then waits for a notification or the time of the next query. */
async function poll (line: Line, { servers, bound, take }: ListenerOptions): Promise<void> {
  const { client, lost } = line
  line.isNotified = false
  const asked = readMoment(MACHINE)
  const query = toChangesQuery(servers.timelines)
  const { rows } = await within(bound, client.query<ChangesRow & TimelineRow>(query), lost.signal)
  const [row] = rows
  if (row !== undefined) servers.timelines.judge(row, asked.stopwatch)
  take(row, asked)
  if (!line.isNotified) {
    await new Promise<void>(resolve => {
      line.wake = resolve
      setTimeout(resolve, bound / POLLS_PER_BOUND).unref()
    })
  }
  lost.signal.throwIfAborted()
}
