// SQLite keeps a value of any type in a column of any type, and a damaged row must not stop the work on others: what
// is read for
// more than one user goes through these.

/** The last moment that a Date can have, in milliseconds. */
export const LAST_MOMENT = 8.64e15

/** Whether a value is a moment that can be shown and compared: whole milliseconds. */
export function isMoment (value: unknown): value is number {
  return Number.isSafeInteger(value) && Math.abs(value as number) <= LAST_MOMENT
}

/** The moment; 1970 for what is none. */
export function toMoment (value: unknown): number {
  return isMoment(value) ? value : 0
}

/** The text; an empty one for what is none. */
export function toText (value: unknown): string {
  return typeof value === 'string' ? value : ''
}

/** The text; null for what is none. */
export function toNullableText (value: unknown): string | null {
  return typeof value === 'string' ? value : null
}
