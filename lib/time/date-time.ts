const DATE_TIME = /^(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d)(?:\.(\d+))?(?:Z|([+-])([01]\d|2[0-3]):([0-5]\d))$/i

/** The first and the last moment that RFC 3339 can express. */
const FIRST = Date.parse('0000-01-01T00:00:00.000Z')
const LAST = Date.parse('9999-12-31T23:59:59.999Z')

/**
 * Parses a date-time as specified in RFC 3339. Returns milliseconds since the epoch, or undefined. `Date.parse` alone
 * would accept other formats too, and would read February 30 as a day in March. A leap second is refused, because our
 * clocks have none.
 */
export function parseDateTime (text: string): number | undefined {
  const [, date, time, fraction = '', sign, hours = '0', minutes = '0'] = DATE_TIME.exec(text) ?? []
  if (date === undefined || time === undefined) return undefined
  const local = Date.parse(`${date}T${time}.${fraction.slice(0, 3).padEnd(3, '0')}Z`)
  if (Number.isNaN(local) || !new Date(local).toISOString().startsWith(`${date}T${time}`)) return undefined
  const offset = (sign === '-' ? -1 : 1) * (Number(hours) * 60 + Number(minutes)) * 60_000
  const moment = local - offset
  return moment >= FIRST && moment <= LAST ? moment : undefined
}
