/** Milliseconds that an answer may take to be there as a whole. */
const TIMEOUT = 5_000

/** Bytes of an answer. A JWKS of a hundred keys is smaller. */
const MAX_ANSWER = 256 * 1024

/** A request that the service has answered with an error, or in a form that is not the expected one. */
export class UnexpectedAnswer extends Error {
  override readonly name = 'UnexpectedAnswer'
  readonly status: number

  constructor (status: number, message: string) {
    super(message)
    this.status = status
  }
}

/** What is asked for: everything but the limits, which are the same for all. */
interface JsonRequest {
  method?: 'GET' | 'POST'
  headers?: Record<string, string>
  /** The fields of a form. */
  form?: Record<string, string>
  /** Milliseconds; the default is five seconds. */
  timeout?: number
}

/** An object of JSON, and how long it may be kept: milliseconds, undefined where the service does not say. */
interface JsonAnswer {
  members: Record<string, unknown>
  headers: Headers
  maxAge: number | undefined
}

/** Makes requests to the service. */
export interface Requests {
  /** The object that a URL answers with 200. Throws what says which request failed and why, and neither a secret nor the answer. */
  json (url: string, request?: JsonRequest): Promise<JsonAnswer>
  /** An answer with 200 whose body is yet to be read. Its end, as that of waiting for it, is up to `signal`. */
  open (url: string, request: { headers: Record<string, string>, signal: AbortSignal }): Promise<Response>
  /** Ends what `json` waits for; whatever it is asked for from then on fails. */
  close (): void
}

/** Creates what makes requests: bounded in time and size, and without following redirects, which lead to where nobody has said that it is safe. */
export function createRequests (fetch: typeof globalThis.fetch): Requests {
  const underWay = new Set<AbortController>()
  let closedBy: Error | undefined

  async function send (url: string, init: RequestInit): Promise<Response> {
    let response: Response
    try {
      response = await fetch(url, { ...init, redirect: 'manual' })
    } catch (cause) {
      throw new Error(`${url} cannot be reached: ${reasonOf(cause)}`, { cause })
    }
    if (response.status === 200) return response
    const error = await readError(response)
    throw new UnexpectedAnswer(response.status, `${url} answers ${response.status}${error === undefined ? '' : ` ${error}`}`)
  }

  return {
    async json (url, { method = 'GET', headers, form, timeout = TIMEOUT } = {}) {
      if (closedBy !== undefined) throw closedBy
      // Not AbortSignal.any: what is combined of a signal that lives long is kept by it for as long.
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
        return { members: parseObject(text, url), headers: response.headers, maxAge: maxAgeOf(response.headers.get('cache-control')) }
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

/** What went wrong, in a few words: undici hides it in the causes. */
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
      if (size > MAX_ANSWER) throw new Error(`more than ${MAX_ANSWER} bytes`)
      chunks.push(chunk)
    }
  } catch (cause) {
    throw new Error(`The answer of ${url} cannot be read: ${reasonOf(cause)}`, { cause })
  }
  return Buffer.concat(chunks).toString()
}

function parseObject (text: string, url: string): Record<string, unknown> {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {}
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new Error(`The answer of ${url} is no object of JSON`)
  return value as Record<string, unknown>
}

/** The code of an OAuth error (RFC 6749 section 5.2) or a problem document, where it is one: letters that can do no harm in a log. */
async function readError (response: Response): Promise<string | undefined> {
  try {
    const { error, code } = parseObject(await readText(response, ''), '')
    const name = error ?? code
    return typeof name === 'string' && /^[a-z_]{1,40}$/.test(name) ? name : undefined
  } catch {
    return undefined
  }
}

/** RFC 9111 section 5.2.2.1, as far as it concerns us. */
function maxAgeOf (cacheControl: string | null): number | undefined {
  const seconds = /(?:^|[\s,])max-age=(\d{1,9})(?:$|[\s,])/i.exec(cacheControl ?? '')?.[1]
  return seconds === undefined ? undefined : Number(seconds) * 1000
}
