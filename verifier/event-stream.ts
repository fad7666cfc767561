import { createParser } from 'eventsource-parser'
import type { EventSourceMessage } from 'eventsource-parser'
import { readMoment } from '../lib/time/elapsed-time.js'
import type { Moment, Stopwatches } from '../lib/time/elapsed-time.js'
import { reasonOf } from './requests.js'
import type { Requests } from './requests.js'

/** Characters of one event: a thousand rules have a tenth of it. */
const MAX_EVENT = 4 * 1024 * 1024

/** Milliseconds until the service has begun to answer. */
const OPENING = 5_000

/** A stream of server-sent events that is being read. */
export interface EventStream {
  /** When the request for it was sent. */
  readonly sent: Moment
  /** Resolves with the reason when nothing more comes, for whatever reason. Never rejects. */
  readonly ended: Promise<Error>
  close (reason: Error): void
}

/**
 * Opens a stream and reads it.
 * @param silence - milliseconds without anything after which it is given up: nobody tells a receiver that a link is cut.
 * @param onEvent - takes each event; the stream ends with what it throws.
 */
export function openEventStream ({ url, headers, requests, time, silence, onEvent }: {
  url: string
  headers: Record<string, string>
  requests: Requests
  time: Stopwatches
  silence: number
  onEvent: (event: EventSourceMessage, sent: Moment) => void
}): EventStream {
  const abort = new AbortController()
  const sent = readMoment(time)
  let timer: NodeJS.Timeout | undefined

  function expect (milliseconds: number): void {
    clearTimeout(timer)
    timer = setTimeout(() => abort.abort(new Error(`Nothing came from ${url} for ${milliseconds} ms`)), milliseconds)
  }

  async function read (): Promise<never> {
    expect(OPENING)
    const response = await requests.open(url, { headers: { accept: 'text/event-stream', 'cache-control': 'no-cache', ...headers }, signal: abort.signal })
    const type = response.headers.get('content-type') ?? ''
    if (!/^text\/event-stream\s*(;|$)/i.test(type)) throw new Error(`${url} answers with no event stream`)
    const parser = createParser({
      maxBufferSize: MAX_EVENT,
      onEvent: event => onEvent(event, sent),
      onError (error) {
        // A field of a later version is no failure: the standard says to ignore it.
        if (error.type === 'max-buffer-size-exceeded') throw error
      }
    })
    const decoder = new TextDecoder()
    for await (const chunk of response.body as unknown as AsyncIterable<Uint8Array> | null ?? []) {
      expect(silence)
      parser.feed(decoder.decode(chunk, { stream: true }))
    }
    throw new Error(`${url} has ended the stream`)
  }

  const ended = read().catch((error: unknown) => {
    clearTimeout(timer)
    // The reason for which it was given up says more than that it was.
    const reason: unknown = abort.signal.aborted ? abort.signal.reason : error
    abort.abort(reason)
    return reason instanceof Error ? reason : new Error(reasonOf(reason), { cause: reason })
  })

  return { sent, ended, close: reason => abort.abort(reason) }
}
