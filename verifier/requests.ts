import type { ClockWatch } from './clock-watch.js'

/** Milliseconds within which the whole response must arrive. */
const TIMEOUT = 5_000

/** The maximum size of a response, in bytes. A JWKS of a hundred keys is smaller. */
const MAX_ANSWER = 256 * 1024

/** RFC 9111 section 5.2.2.1. */
const MAX_AGE = /(?:^|[\s,])max-age=(\d{1,9})(?:$|[\s,])/i

/** The service responded with a status other than 200. */
export class UnexpectedAnswer extends Error {
  override readonly name = 'UnexpectedAnswer'
  readonly status: number
  /** How long the service asks the client to wait, in milliseconds. Undefined if it does not ask for that. */
  readonly retryAfter: number | undefined

  constructor (message: string, { status, headers }: Pick<Response, 'status' | 'headers'>) {
    super(message)
    this.status = status
    this.retryAfter = secondsIn(headers.get('retry-after'), /^(\d{1,9})$/)
  }
}

/** A request for JSON. The limit on its size is the same for all requests. */
interface JsonRequest {
  method?: 'GET' | 'POST'
  headers?: Record<string, string>
  /** The fields of a form. */
  form?: Record<string, string>
  /** Milliseconds. Default: five seconds. */
  timeout?: number
}

/** A response with a JSON object. */
interface JsonAnswer {
  members: Record<string, unknown>
  headers: Headers
  /** How long it may be cached, in milliseconds. Undefined if the service does not say. */
  maxAge: number | undefined
}

/** Sends requests to the service. */
export interface Requests {
  /**
   * Returns the JSON object of a response with status 200. Otherwise throws an error that names the URL and the reason,
   * and contains neither a secret nor the response.
   */
  json (url: string, request?: JsonRequest): Promise<JsonAnswer>
  /** Returns a response with status 200 whose body is still to be read. Only `signal` limits how long that takes. */
  open (url: string, request: { headers: Record<string, string>, signal: AbortSignal }): Promise<Response>
  /** Aborts all `json` requests, and lets all later ones fail. */
  close (): void
}

/**
 * Creates the sender. It limits time and size, and does not follow redirects, because their targets were not checked.
 */
export function createRequests (fetch: typeof globalThis.fetch, watch: ClockWatch): Requests {
  const underWay = new Set<AbortController>()
  let closedBy: Error | undefined

  async function send (url: string, init: RequestInit): Promise<Response> {
    let response: Response
    const compare = watch.start()
    try {
      response = await fetch(url, { ...init, redirect: 'manual' })
    } catch (cause) {
      throw new Error(`${url} cannot be reached: ${reasonOf(cause)}`, { cause })
    }
    compare(response.headers)
    if (response.status === 200) return response
    const error = await readError(response)
    throw new UnexpectedAnswer(`${url} answers ${response.status}${error === undefined ? '' : ` ${error}`}`, response)
  }

  return {
    async json (url, { method = 'GET', headers, form, timeout = TIMEOUT } = {}) {
      if (closedBy !== undefined) throw closedBy
      // Not AbortSignal.any: a long-lived signal keeps every signal that was combined with it in memory.
      const abort = new AbortController()
      underWay.add(abort)
      const timer = setTimeout(() => abort.abort(new Error(`no answer within ${timeout} ms`)), timeout)
      try {
        const response = await send(url, {
          method,
          headers: { accept: 'application/json', ...headers },
          ...(form === undefined ? {} : { body: new URLSearchParams(form) }),
          signal: abort.signal
        })
        const text = await readText(response, url)
        return {
          members: parseObject(text, url),
          headers: response.headers,
          maxAge: secondsIn(response.headers.get('cache-control'), MAX_AGE)
        }
      } finally {
        clearTimeout(timer)
        underWay.delete(abort)
      }
    },
    open: (url, { headers, signal }) => send(url, { headers, signal }),
    close () {
      closedBy = new Error('The verifier was closed')
      for (const abort of underWay) abort.abort(closedBy)
    }
  }
}

/** A short reason for a failure. undici hides it in the cause. */
export function reasonOf (error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const cause = error.cause instanceof Error ? error.cause : undefined
  if (cause === undefined) return error.message
  return `${error.message} (${(cause as NodeJS.ErrnoException).code ?? cause.message})`
}

async function readText (response: Response, url: string): Promise<string> {
  const chunks: Uint8Array[] = []
  let size = 0
  try {
    for await (const chunk of response.body as unknown as AsyncIterable<Uint8Array> | null ?? []) {
      size += chunk.byteLength
      if (size > MAX_ANSWER) throw new Error(`it has more than ${MAX_ANSWER} bytes`)
      chunks.push(chunk)
    }
  } catch (cause) {
    throw new Error(`The response of ${url} cannot be read: ${reasonOf(cause)}`, { cause })
  }
  return Buffer.concat(chunks).toString()
}

function parseObject (text: string, url: string): Record<string, unknown> {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {}
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new Error(`The response of ${url} is not a JSON object`)
  }
  return value as Record<string, unknown>
}

/** Returns the code of an OAuth error (RFC 6749 section 5.2) or of a problem document, if it is safe to log. */
async function readError (response: Response): Promise<string | undefined> {
  try {
    const { error, code } = parseObject(await readText(response, ''), '')
    const name = error ?? code
    return typeof name === 'string' && /^[a-z_]{1,40}$/.test(name) ? name : undefined
  } catch {
    return undefined
  }
}

/** Finds a number of seconds in a header, and returns it in milliseconds. */
function secondsIn (header: string | null, pattern: RegExp): number | undefined {
  const seconds = pattern.exec(header ?? '')?.[1]
  return seconds === undefined ? undefined : Number(seconds) * 1000
}
