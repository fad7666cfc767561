/**
 * Returns the answer. Rejects if it takes longer than `milliseconds`, or if `lost` is aborted before it arrives. It
 * runs for every query, so it creates only one promise.
 */
export function within<T> (milliseconds: number, answer: Promise<T>, lost?: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const giveUp = (): void => settle(() => reject(lost?.reason))
    const timer = setTimeout(() => settle(() => reject(new TooLateError(milliseconds))), milliseconds)
    function settle (how: () => void): void {
      clearTimeout(timer)
      lost?.removeEventListener('abort', giveUp)
      how()
    }
    answer.then(value => settle(() => resolve(value)), error => settle(() => reject(error)))
    if (lost?.aborted === true) giveUp()
    else lost?.addEventListener('abort', giveUp)
  })
}

/** The answer did not arrive in time. */
export class TooLateError extends Error {
  override readonly name = 'TooLateError'

  constructor (milliseconds: number) {
    super(`The database did not answer within ${Math.round(milliseconds)} ms`)
  }
}
