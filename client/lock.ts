/** Runs one piece of work at a time. */
export type Lock = <Result>(work: () => Promise<Result>) => Promise<Result>

/** A lock of this program alone. */
export function createLock (): Lock {
  let last: Promise<unknown> = Promise.resolve()
  return work => {
    const next = last.then(work, work)
    last = next.catch(() => {})
    return next
  }
}

const byOwner = new WeakMap<object, Lock>()

/** The one lock of a token store, for however many clients. */
export function lockOf (owner: object): Lock {
  const lock = byOwner.get(owner) ?? createLock()
  byOwner.set(owner, lock)
  return lock
}

/** What is used of the Web Locks API. */
interface Locks {
  request <Result> (name: string, work: () => Promise<Result>): Promise<Result>
}

/** A lock that the tabs of an origin share; undefined where there are no tabs, or the browser has no Web Locks, as on plain http. */
export function findTabLock (name: string): Lock | undefined {
  const { document, navigator } = globalThis as { document?: object, navigator?: { locks?: Locks } }
  const locks = document === undefined ? undefined : navigator?.locks
  return locks === undefined ? undefined : async work => await locks.request(name, work)
}
