/** A promise that settles once, from outside. */
export interface Readiness {
  promise: Promise<void>
  resolve: () => void
  reject: (reason: Error) => void
}

/** Creates the promise. If nothing awaits it, a rejection has no effect. */
export function createReadiness (): Readiness {
  let resolve = (): void => {}
  let reject = (_reason: Error): void => {}
  const promise = new Promise<void>((...functions) => { [resolve, reject] = functions })
  promise.catch(() => {})
  return { promise, resolve, reject }
}
