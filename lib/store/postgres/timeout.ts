import { setTimeout as delay } from 'node:timers/promises'

/** Returns the answer. Rejects if it takes longer than `milliseconds`, or if `lost` is aborted before it arrives. */
export async function within<T> (milliseconds: number, answer: Promise<T>, lost?: AbortSignal): Promise<T> {
  const timer = new AbortController()
  const giveUp = (): void => timer.abort()
  answer.catch(() => {})
  lost?.addEventListener('abort', giveUp)
  try {
    if (lost?.aborted === true) giveUp()
    return await Promise.race([answer, timeOut(milliseconds, timer.signal)])
  } finally {
    lost?.removeEventListener('abort', giveUp)
    timer.abort()
  }
}

async function timeOut (milliseconds: number, signal: AbortSignal): Promise<never> {
  await delay(milliseconds, undefined, { signal })
  throw new Error(`The database did not answer within ${milliseconds} ms`)
}
