import { LatchkeyError } from '../errors.js'

/** Returns the `next` of a page: the start of the next page, in a form that is opaque to clients. */
export function formatCursor (position: string): string {
  return Buffer.from(position).toString('base64url')
}

/** The reverse of `formatCursor`. Throws `invalid_request` for any text that `formatCursor` does not return. */
export function parseCursor (cursor: string): string {
  const position = Buffer.from(cursor, 'base64url').toString()
  // Other spellings, and bytes that are not UTF-8, change in the round trip.
  if (position !== '' && formatCursor(position) === cursor) return position
  throw new LatchkeyError('invalid_request', {
    message: 'The cursor is invalid: use the value of next on the previous page.'
  })
}
