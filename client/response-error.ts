/** An answer of the service that says no. */
export class ResponseError extends Error {
  override readonly name = 'ResponseError'
  readonly status: number
  /** For programs: `code` of a problem document, or `error` of an OAuth endpoint. */
  readonly code: string

  constructor ({ status, code, message }: { status: number, code: string, message: string }) {
    super(message)
    this.status = status
    this.code = code
  }
}

/** The error of an answer, in the service's words; those of a proxy in between have none. */
export async function toResponseError (response: Response): Promise<ResponseError> {
  const { status } = response
  const body = await response.json().catch(() => undefined) as { code?: string, detail?: string, error?: string, error_description?: string } | undefined
  return new ResponseError({
    status,
    code: body?.code ?? body?.error ?? 'unknown',
    message: body?.detail ?? body?.error_description ?? `The service answered ${status}.`
  })
}
