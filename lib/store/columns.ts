// SQLite stores a value of any type in any column, and a damaged row must not affect other rows. So values that are
// read for more than one user go through these functions.

/** The last moment that a Date can hold, in milliseconds. */
export const LAST_MOMENT = 8.64e15

/** Whether a value is a moment that can be shown and compared: whole milliseconds. */
export function isMoment (value: unknown): value is number {
  return Number.isSafeInteger(value) && Math.abs(value as number) <= LAST_MOMENT
}

/** Returns the moment, or 0 (1970) if the value is not one. */
export function toMoment (value: unknown): number {
  return isMoment(value) ? value : 0
}

/** Returns the text, or an empty one if the value is not text. */
export function toText (value: unknown): string {
  return typeof value === 'string' ? value : ''
}

/** Returns the text, or null if the value is not text. */
export function toNullableText (value: unknown): string | null {
  return typeof value === 'string' ? value : null
}
