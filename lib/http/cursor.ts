import { LatchkeyError } from '../errors.js'

/** The `next` of a page: where the page after it begins, in a form that says nothing to a client. */
export function formatCursor (position: string): string {
  return Buffer.from(position).toString('base64url')
}

/** The reverse of `formatCursor`. Throws `invalid_request` for what that never made. */
export function parseCursor (cursor: string): string {
  const position = Buffer.from(cursor, 'base64url').toString()
  // Other spellings, and bytes that are no text, do not come back as they were.
  if (position !== '' && formatCursor(position) === cursor) return position
  throw new LatchkeyError('invalid_request', { message: 'The cursor is not the next of a page.' })
}
