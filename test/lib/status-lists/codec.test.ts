import { deflateSync } from 'node:zlib'
import t from 'tap'
import { createStatusArray, decodeStatusList } from '../../../lib/status-lists/codec.js'
import type { EncodedStatusList, StatusArray } from '../../../lib/status-lists/codec.js'
import { STATUS_LIST_VECTORS } from '../../vectors/token-status-list.js'

const SIZE = 2 ** 20

/** What of a list is not 0. */
function entriesOf (array: StatusArray): Array<[index: number, status: number]> {
  const found: Array<[number, number]> = []
  for (let index = 0; index < array.size; index++) {
    const status = array.get(index)
    if (status !== 0) found.push([index, status])
  }
  return found
}

const byIndex = ([first]: [number, number], [second]: [number, number]): number => first - second

const adlerOf = ({ lst }: EncodedStatusList): string => Buffer.from(lst, 'base64url').subarray(-4).toString('hex')

t.test('the examples of the text, section 4.1 and 4.2: what is encoded and what is decoded', async t => {
  const examples = [
    {
      bits: 1,
      statuses: [1, 0, 0, 1, 1, 1, 0, 1, 1, 1, 0, 0, 0, 1, 0, 1],
      lst: 'eNrbuRgAAhcBXQ',
      hex: '78dadbb918000217015d'
    },
    { bits: 2, statuses: [1, 2, 0, 3, 0, 1, 0, 1, 1, 2, 3, 3], lst: 'eNo76fITAAPfAgc', hex: '78da3be9f2130003df0207' }
  ] as const
  for (const { bits, statuses, lst, hex } of examples) {
    const array = createStatusArray(bits, statuses.length + statuses.length % 8)
    statuses.forEach((status, index) => array.set(index, status))
    if (bits === 1) t.strictSame(array.encode(), { bits, lst })
    t.equal(Buffer.from(lst, 'base64url').toString('hex'), hex)
    const decoded = decodeStatusList({ bits, lst }, 16)
    t.equal(decoded.size, statuses.length)
    t.strictSame(statuses.map((_status, index) => decoded.get(index)), statuses, `${bits} bits`)
    t.strictSame(decoded.encode(), { bits, lst }, 'and back')
  }
})

for (const { bits, entries, adler32, lst } of STATUS_LIST_VECTORS) {
  t.test(`the list of 2^20 entries with ${bits} bits of appendix C`, async t => {
    const array = createStatusArray(bits, SIZE)
    for (const [index, status] of entries) array.set(index, status)
    const encoded = array.encode()
    t.equal(adlerOf(encoded), adler32, 'the content that the draft has compressed')
    const wanted = entries.filter(([, status]) => status !== 0).sort(byIndex)
    t.strictSame(entriesOf(decodeStatusList(encoded, SIZE)), wanted, 'what was put in, and nothing else')
    if (lst === undefined) return
    const theirs = decodeStatusList({ bits, lst }, SIZE)
    t.equal(theirs.size, SIZE)
    t.strictSame(entriesOf(theirs), wanted, 'what the draft says its string holds')
    // As long, whichever of two equally good ways a version of zlib takes.
    t.equal(encoded.lst.length, lst.length)
  })
}

t.test('every status of each width is kept apart from its neighbours', async t => {
  for (const bits of [1, 2, 4, 8] as const) {
    const array = createStatusArray(bits, 64)
    const statusOf = (index: number): number => (index * 7 + 3) % 2 ** bits
    for (let index = 63; index >= 0; index--) array.set(index, 2 ** bits - 1)
    for (let index = 0; index < 64; index++) array.set(index, statusOf(index))
    for (let index = 0; index < 64; index++) t.equal(array.get(index), statusOf(index), `${bits} bits, index ${index}`)
  }
})

t.test('what has no place in a list is refused', async t => {
  const array = createStatusArray(1, 16)
  for (const index of [-1, 16, 0.5, NaN]) {
    t.throws(() => array.get(index), RangeError)
    t.throws(() => array.set(index, 1), RangeError)
  }
  for (const status of [-1, 2, 0.5, NaN]) t.throws(() => array.set(0, status), RangeError)
  t.throws(() => createStatusArray(1, 12), RangeError)
  t.throws(() => decodeStatusList({ bits: 3 as never, lst: 'eNrbuRgAAhcBXQ' }, 16), RangeError)
  t.throws(() => decodeStatusList({ bits: 1, lst: 'bm9uZQ' }, 16), { code: 'Z_DATA_ERROR' })
})

t.test('a small text that swells to a list larger than was asked for is not unpacked', async t => {
  const lst = deflateSync(Buffer.alloc(2 ** 24)).toString('base64url')
  t.ok(lst.length < 32_000)
  t.throws(() => decodeStatusList({ bits: 1, lst }, 2 ** 17), { code: 'ERR_BUFFER_TOO_LARGE' })
})
