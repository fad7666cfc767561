import { createParser } from 'eventsource-parser'
import type { EventSourceMessage } from 'eventsource-parser'
import { readMoment } from '../lib/time/elapsed-time.js'
import type { Moment, Stopwatches } from '../lib/time/elapsed-time.js'
import { reasonOf } from './requests.js'
import type { Requests } from './requests.js'

/** The maximum length of an event, in characters. A thousand rules need a tenth of it. */
const MAX_EVENT = 4 * 1024 * 1024

/** Milliseconds that the service has to start its response. */
const OPENING = 5_000

/** A stream of server-sent events that is open. */
export interface EventStream {
  /** When the request for it was sent. */
  readonly sent: Moment
  /** Resolves with the reason when the stream ends, for any reason. Never rejects. */
  readonly ended: Promise<Error>
  close (reason: Error): void
}

/**
 * Opens a stream and reads it.
 * @param silence - milliseconds without data after which `onSilence` is called, because a receiver gets no notice of a
 *   broken connection.
 * @param onEvent - called for each event. If it throws, the stream ends with that error.
 */
export function openEventStream ({ url, headers, requests, time, silence, onSilence, onEvent }: {
  url: string
  headers: Record<string, string>
  requests: Requests
  time: Stopwatches
  silence: number
  onSilence: (reason: Error) => void
  onEvent: (event: EventSourceMessage, sent: Moment) => void
}): EventStream {
  const abort = new AbortController()
  const sent = readMoment(time)
  let timer: NodeJS.Timeout | undefined

  function expect (milliseconds: number, otherwise: (reason: Error) => void): void {
    clearTimeout(timer)
    timer = setTimeout(() => otherwise(new Error(`${url} sent nothing for ${milliseconds} ms`)), milliseconds)
  }

  async function read (): Promise<never> {
    expect(OPENING, reason => abort.abort(reason))
    const response = await requests.open(url, {
      headers: { accept: 'text/event-stream', 'cache-control': 'no-cache', ...headers },
      signal: abort.signal
    })
    const type = response.headers.get('content-type') ?? ''
    if (!/^text\/event-stream\s*(;|$)/i.test(type)) throw new Error(`${url} did not respond with an event stream`)
    const parser = createParser({
      maxBufferSize: MAX_EVENT,
      onEvent: event => onEvent(event, sent),
      onError (error) {
        // The standard says to ignore unknown fields, for example those of a later version.
        if (error.type === 'max-buffer-size-exceeded') throw error
      }
    })
    const decoder = new TextDecoder()
    for await (const chunk of response.body as unknown as AsyncIterable<Uint8Array> | null ?? []) {
      expect(silence, onSilence)
      parser.feed(decoder.decode(chunk, { stream: true }))
    }
    throw new Error(`${url} ended the stream`)
  }

  const ended = read().catch((error: unknown) => {
    clearTimeout(timer)
    // The reason for aborting says more than the error that the abort causes.
    const reason: unknown = abort.signal.aborted ? abort.signal.reason : error
    abort.abort(reason)
    return reason instanceof Error ? reason : new Error(reasonOf(reason), { cause: reason })
  })

  return { sent, ended, close: reason => abort.abort(reason) }
}
