/** Runs one task at a time. */
export type Lock = <Result>(work: () => Promise<Result>) => Promise<Result>

/** Creates a lock that only this program uses. */
export function createLock (): Lock {
  let last: Promise<unknown> = Promise.resolve()
  return work => {
    const next = last.then(work, work)
    last = next.catch(() => {})
    return next
  }
}

const byOwner = new WeakMap<object, Lock>()

/** Returns the lock of a token store. All clients of the store share it. */
export function lockOf (owner: object): Lock {
  const lock = byOwner.get(owner) ?? createLock()
  byOwner.set(owner, lock)
  return lock
}

/** The part of the Web Locks API that is used here. */
interface Locks {
  request <Result> (name: string, work: () => Promise<Result>): Promise<Result>
}

/**
 * Returns a lock that the tabs of an origin share. Undefined outside of a browser, and if the browser offers no Web
 * Locks, as on plain http.
 */
export function findTabLock (name: string): Lock | undefined {
  const { document, navigator } = globalThis as { document?: object, navigator?: { locks?: Locks } }
  const locks = document === undefined ? undefined : navigator?.locks
  return locks === undefined ? undefined : async work => await locks.request(name, work)
}
