/** Runs one piece of work at a time. */
export type Lock = <Result>(work: () => Promise<Result>) => Promise<Result>

/**
 * @param name - shared by the tabs of an origin, where the browser has Web Locks; without a name, or without them, the lock is of this client alone.
 */
export function createLock (name: string | undefined): Lock {
  const locks = (globalThis as { navigator?: { locks?: LockManagerLike } }).navigator?.locks
  if (name !== undefined && locks !== undefined) return async work => await locks.request(name, work)

  let last: Promise<unknown> = Promise.resolve()
  return work => {
    const next = last.then(work, work)
    last = next.catch(() => {})
    return next
  }
}

/** What is used of the Web Locks API. */
interface LockManagerLike {
  request <Result> (name: string, work: () => Promise<Result>): Promise<Result>
}
