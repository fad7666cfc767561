/**
 * Replaces NUL with a noncharacter, because PostgreSQL refuses a query with a NUL in a text. No stored value contains
 * that noncharacter, so the query finds what it would have found with the NUL: nothing.
 */
export function withoutNul<T> (value: T): T | string {
  return typeof value === 'string' && value.includes('\0') ? value.replaceAll('\0', '\uffff') : value
}
