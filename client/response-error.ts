/** The service responded with an error. */
export class ResponseError extends Error {
  override readonly name = 'ResponseError'
  readonly status: number
  /** For programs: the `code` of a problem document, or the `error` of an OAuth endpoint. */
  readonly code: string

  constructor ({ status, code, message }: { status: number, code: string, message: string }) {
    super(message)
    this.status = status
    this.code = code
  }
}

/** Converts a response to an error with the service's own message. The response of a proxy in between has none. */
export function toResponseError ({ status, text }: { status: number, text: string }): ResponseError {
  let body: { code?: string, detail?: string, error?: string, error_description?: string } | undefined
  try {
    body = JSON.parse(text)
  } catch {}
  return new ResponseError({
    status,
    code: body?.code ?? body?.error ?? 'unknown',
    message: body?.detail ?? body?.error_description ?? `The service answered ${status}.`
  })
}
