import { constants, setPriority } from 'node:os'
import { isMainThread } from 'node:worker_threads'

/** Gives the event loop priority, because password work takes long and protected requests must not wait for it. */
export function yieldToEventLoop (): void {
  // On Linux setpriority(PRIO_PROCESS, 0) acts on the calling thread; elsewhere it would slow down the whole process.
  if (process.platform !== 'linux' || isMainThread) return
  try {
    setPriority(constants.priority.PRIORITY_BELOW_NORMAL)
  } catch {
    // A sandbox may forbid this. The work is correct without it.
  }
}
