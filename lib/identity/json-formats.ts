import { parseDateTime } from '../time/date-time.js'

/** The formats that our schemas use, for Ajv. Each check takes linear time. */
export const FORMATS = {
  'date-time': (text: string): boolean => parseDateTime(text) !== undefined,
  uuid: /^[\da-f]{8}-(?:[\da-f]{4}-){3}[\da-f]{12}$/i,
  // This only tells a page to hide the field.
  password: true
} as const
