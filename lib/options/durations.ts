import { parse as parseDuration } from '@lukeed/ms'
import { DURATION_PATTERN } from '../../schemas/options.js'

const DURATION = new RegExp(DURATION_PATTERN)

/** Returns the milliseconds of a duration in the format of the options, or undefined for any other text. */
export function readDuration (text: string): number | undefined {
  return DURATION.test(text) ? toMilliseconds(text) : undefined
}

/** Returns the milliseconds of a duration that was checked. */
export function toMilliseconds (duration: string): number {
  return parseDuration(duration) as number
}
