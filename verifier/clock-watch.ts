import type { VerifierSettings } from './settings.js'

/** Milliseconds. A token whose `iat` is further in the future than this is refused. */
const NOTABLE = 5_000

/** Compares the clock of this machine with the `Date` of responses. */
export interface ClockWatch {
  /** Notes the time of a request, and returns a function to call with the headers of its response. */
  start (): (headers: Headers) => void
}

/** Creates the watch. It logs when the clocks begin to differ and when they agree again. */
export function createClockWatch (
  { issuer, log, time: { wall } }: Pick<VerifierSettings, 'issuer' | 'log' | 'time'>
): ClockWatch {
  let known: 'behind' | 'ahead' | undefined

  /** The service wrote `date`, rounded down to seconds, at some time between `sent` and `received` on this machine. */
  function compare (date: number, sent: number, received: number): void {
    const [behind, ahead] = [date - received, sent - date - 1_000]
    const seconds = Math.round(Math.abs(date + 500 - (sent + received) / 2) / 1000)
    const side = behind >= NOTABLE ? 'behind' : ahead >= NOTABLE ? 'ahead' : undefined
    if (side !== undefined && side !== known) {
      const words = side === 'behind' ? 'behind' : 'ahead of'
      log.warn(
        { issuer, seconds },
        `the clock of this machine is about ${seconds} s ${words} that of ${issuer}: set it, for example with NTP`
      )
    } else if (known !== undefined && Math.max(behind, ahead) < NOTABLE / 2) {
      log.info({ issuer }, `the clock of this machine agrees with that of ${issuer}`)
    } else return
    known = side
  }

  return {
    start () {
      const sent = wall()
      return headers => {
        const date = Date.parse(headers.get('date') ?? '')
        // The response of a cache is as old as its `Age` says.
        if (!Number.isNaN(date) && !headers.has('age')) compare(date, sent, wall())
      }
    }
  }
}
