import { Piscina } from 'piscina'
import type { Test } from 'tap'

// A thread takes about 50 ms of CPU to start, and several times that with the dictionaries of the password check. Most
// tests build an app of their own. With a login, half of their time went into starting threads. So the apps of a
// process share them.

const pools = new Map<unknown, Piscina>()
const run = Piscina.prototype.run
let isShared = true

function sharedPool ({ options }: Piscina): Piscina {
  const { filename, maxThreads, idleTimeout, recordTiming, execArgv, env } = options
  const pool = pools.get(filename) ?? new Piscina({
    filename, minThreads: 0, maxThreads, idleTimeout, recordTiming, execArgv, env
  })
  pools.set(filename, pool)
  return pool
}

Piscina.prototype.run = function runShared (this: Piscina, ...parameters) {
  return run.apply(isShared ? sharedPool(this) : this, parameters)
}

/** Gives the password services of a test threads of their own, for tests of how threads start, crash and end. */
export function useOwnThreads (t: Test): void {
  isShared = false
  t.teardown(() => { isShared = true })
}
