import type { Test } from 'tap'
import { query } from '../routes/support.js'

/** A timer of the purge. */
export interface Timer { delay: number, run: () => void, unref (): Timer }

/** Takes the timers of the purge into the test's own hands; all others go their way. */
export function catchTimers (t: Test): Timer[] {
  const timers: Timer[] = []
  const { setTimeout: set, clearTimeout: clear } = globalThis
  t.teardown(() => Object.assign(globalThis, { setTimeout: set, clearTimeout: clear }))
  function setTimeout (run: () => void, delay: number, ...rest: []): unknown {
    if (delay !== 60_000 && delay !== 50) return set(run, delay, ...rest)
    const timer: Timer = { delay, run, unref: () => timer }
    timers.push(timer)
    return timer
  }
  function clearTimeout (timer: never): void {
    const index = timers.indexOf(timer)
    if (index === -1) clear(timer)
    else timers.splice(index, 1)
  }
  Object.assign(globalThis, { setTimeout, clearTimeout })
  return timers
}

/** Waits for what comes without a timer. */
export async function until (condition: () => boolean): Promise<void> {
  const deadline = performance.now() + 5_000
  while (!condition()) {
    if (performance.now() > deadline) throw new Error('It does not come')
    await new Promise(resolve => setImmediate(resolve))
  }
}

/** Makes the time of a database steady, as an hour of looks would. */
export function settle (file: string, now: number): void {
  query(file, `insert into latchkey_meta (name, value) values ('looked_at', ${now}), ('steady_since', ${now - 3_600_000})
    on conflict (name) do update set value = excluded.value`)
}
