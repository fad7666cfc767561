import { once } from 'node:events'
import { request } from 'node:http'
import type { IncomingMessage } from 'node:http'
import type { FastifyInstance } from 'fastify'
import type { Test } from 'tap'
import latchkey from '../../app.js'
import type { LatchkeyOptions } from '../../app.js'
import type { FeedLimits } from '../../lib/revocation-feed/stream-limits.js'
import { kFeedLimits } from '../../plugins/revocation-feed.js'
import { bearer, createTestClock, PASSWORD, postForm, TEST_OPTIONS } from '../helper.js'
import type { TestClock } from '../helper.js'
import { addClient, createHost, listen, query } from './support.js'
import type { RegisteredClient } from './support.js'

interface Rule { kind: string, value: string, issued_before?: number, expires_at: number }
interface State { as_of: number, time: number, keys: string[] }
export type Received = { event: 'rules', id: string, rules: Rule[] } | { event: 'state', state: State }

/** A receiver of the event stream, which reads what comes unless it is told not to. */
export interface Receiver {
  response: IncomingMessage
  /** Everything that has come, in order. */
  received: Received[]
  /** The values of all rules that have come. */
  values (): string[]
  /**
   * Waits until something has come that is wanted, looking at what is there already too; rejects where the stream ends
   * before.
   */
  until (wanted: (received: Received) => boolean, from?: number): Promise<Received>
  /** Resolves when the stream has ended, one way or the other. */
  ended: Promise<void>
  cut (): void
}

/** Opens an event stream, and closes it with the test. */
export async function follow (
  t: Test,
  origin: string,
  token: string,
  { lastEventId, paused = false, onEvent = () => {} }: {
    lastEventId?: string, paused?: boolean, onEvent?: (event: Received, receiver: Receiver) => void
  } = {}
): Promise<Receiver> {
  const outgoing = request(
    `${origin}/revocations`,
    {
      agent: false,
      headers: {
        ...bearer(token),
        accept: 'text/event-stream',
        ...(lastEventId === undefined ? {} : { 'last-event-id': lastEventId })
      }
    }
  )
  t.teardown(() => outgoing.destroy())
  outgoing.on('error', () => {}).end()
  const [response] = await once(outgoing, 'response') as [IncomingMessage]
  const received: Received[] = []
  let look = (): void => {}
  let isOver = false
  const ended = new Promise<void>(resolve => {
    response.on('error', () => {}).on('close', () => {
      isOver = true
      look()
      resolve()
    })
  })
  const receiver: Receiver = {
    response,
    received,
    values: () => received.flatMap(item => item.event === 'rules' ? item.rules.map(({ value }) => value) : []),
    async until (wanted, from = 0) {
      for (;;) {
        const found = received.slice(from).find(wanted)
        if (found !== undefined) return found
        if (isOver) throw new Error('The stream has ended')
        await new Promise<void>(resolve => { look = resolve })
      }
    },
    ended,
    cut: () => outgoing.destroy()
  }
  let text = ''
  const read = (chunk: string): void => {
    text += chunk
    const frames = text.split('\n\n')
    text = frames.pop() ?? ''
    for (const frame of frames) {
      const item = parse(frame)
      received.push(item)
      onEvent(item, receiver)
    }
    look()
  }
  response.setEncoding('utf8')
  if (!paused) response.on('data', read)
  return receiver
}

function parse (frame: string): Received {
  const fields = Object.fromEntries(frame.split('\n').map(line => {
    const [, name = '', value = ''] = /^(event|id|data): (.*)$/.exec(line) ?? []
    return [name, value]
  }))
  const data = JSON.parse(fields.data ?? '')
  return fields.event === 'rules' ? { event: 'rules', id: fields.id ?? '', ...data } : { event: 'state', state: data }
}

export const isState = (item: Received): boolean => item.event === 'state'
export const hasRule = (value: string) => (item: Received): boolean => item.event === 'rules' && item.rules.some(
  rule => rule.value === value
)

/** A listening app with a machine client that may read the feed, and its token. */
export interface FeedHost {
  app: FastifyInstance
  clock: TestClock
  origin: string
  client: RegisteredClient
  token: string
}

export async function buildFeed (
  t: Test, options: LatchkeyOptions = {}, limits?: Partial<FeedLimits>
): Promise<FeedHost> {
  const clock = createTestClock()
  const app = createHost(t)
  if (limits !== undefined) app.decorate(kFeedLimits, limits)
  await app.register(latchkey, { ...TEST_OPTIONS, now: clock, ...options })
  await app.ready()
  if (await app.latchkey.users.findByName('verifier') === null) {
    await app.latchkey.users.add({
      username: 'verifier', password: PASSWORD, scopes: ['revocations:read', 'items:read']
    })
  }
  const client = await addClient(app, { name: 'verifier', scopes: ['revocations:read', 'items:read'] })
  return { app, clock, origin: await listen(app), client, token: await tokenOf(app, client) }
}

/** A client's own access token. */
export async function tokenOf (app: FastifyInstance, client: RegisteredClient, scope?: string): Promise<string> {
  const answer = await postForm(
    app, '/token', { grant_type: 'client_credentials', ...client.form, ...(scope === undefined ? {} : { scope }) }
  )
  return answer.json().access_token
}

/** Writes many rules into a file at once, as another process would, and returns their values. */
export function insertRules (file: string, count: number, expiresAt: number, prefix = 'rule'): string[] {
  query(file, `with recursive n(i) as (select 1 union all select i + 1 from n where i < ?)
    insert into latchkey_rules (kind, value, expires_at) select 'token', ? || '-' || i, ? from n`, count, prefix, expiresAt)
  return Array.from({ length: count }, (_, index) => `${prefix}-${index + 1}`)
}
