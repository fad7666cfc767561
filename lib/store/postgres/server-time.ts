import { createFollowedClock } from '../../time/followed-clock.js'
import { MACHINE } from '../../time/elapsed-time.js'
import type { Moment } from '../../time/elapsed-time.js'
import { WrongClock } from '../store.js'
import type { OpenOptions } from '../store.js'

/** Milliseconds by which the machine's clock may differ from the server's before the node logs it. */
const UNREPORTED = 5_000

/** Milliseconds by which it may differ. With a larger difference, this node does not serve. */
const TOLERABLE = 60_000

/** The server's clock, as this node knows it. */
export interface ServerTime {
  /** The server's time in milliseconds, or a little less. */
  now (): number
  /** Takes an answer of the server. `asked`: when this node asked. */
  take (time: number, asked: Moment): void
  /** Throws if the machine's clock differs so much that this node must not serve. */
  assertRight (): void
}

/** Creates the time of a node. */
export function createServerTime (log: OpenOptions['log']): ServerTime {
  const clock = createFollowedClock(MACHINE.stopwatch)
  let difference = 0
  let isReported = false

  function report (): void {
    const isWrong = Math.abs(difference) > UNREPORTED
    if (isWrong === isReported) return
    isReported = isWrong
    const reason = isWrong ? describe(difference) : 'The clock of this machine agrees with the clock of the database'
    log(new Error(reason), isWrong
      ? `correct it: a node does not serve if its clock differs by more than ${TOLERABLE / 1000} s`
      : 'the clock is right again')
  }

  return {
    now: clock.now,
    take (time, asked) {
      clock.set(time)
      // The server read its clock between the question and the answer, however long that took.
      const [earliest, latest] = [asked.wall, MACHINE.wall()]
      difference = latest < time ? latest - time : earliest > time ? earliest - time : 0
      report()
    },
    assertRight () {
      if (Math.abs(difference) > TOLERABLE) throw new WrongClock(describe(difference))
    }
  }
}

function describe (difference: number): string {
  const seconds = Math.round(Math.abs(difference) / 1000)
  const direction = difference > 0 ? 'ahead of' : 'behind'
  return `The clock of this machine is ${seconds} s ${direction} the clock of the database server`
}
