import { deflateSync, inflateSync } from 'node:zlib'

// The codec of the Token Status List: draft-ietf-oauth-status-list-21 section 4.

/** How many bits say the status of one token. */
export type StatusBits = 1 | 2 | 4 | 8

/** Section 7.1: 0 is valid. More kinds of status would tell outsiders more (section 12.8). */
export const INVALID = 1

/** A list as in section 4.2. */
export interface EncodedStatusList {
  bits: StatusBits
  lst: string
}

/** So many statuses, each of which can be set and read. */
export interface StatusArray {
  readonly bits: StatusBits
  readonly size: number
  /** Throws a RangeError for an index or a status that has no place here. */
  set (index: number, status: number): void
  /** Throws a RangeError where there is no such index: nothing can be said of it then (section 8.3, step 6). */
  get (index: number): number
  /** DEFLATE in the ZLIB format, as small as it gets, in base64url. */
  encode (): EncodedStatusList
}

/**
 * Makes an array in which all is VALID.
 * @param size - a multiple of 8.
 */
export function createStatusArray (bits: StatusBits, size: number): StatusArray {
  if (size % 8 !== 0) throw new RangeError(`A status list of ${size} entries does not fill its bytes`)
  return arrayOf(bits, new Uint8Array(size * bits / 8))
}

/**
 * Reads an encoded list. Throws where it is none, or a larger one than `maxSize`: some hundred bytes can be made to swell to a gigabyte.
 * @param maxSize - entries.
 */
export function decodeStatusList ({ bits, lst }: EncodedStatusList, maxSize: number): StatusArray {
  if (![1, 2, 4, 8].includes(bits)) throw new RangeError(`A status has 1, 2, 4 or 8 bits, not ${bits}`)
  return arrayOf(bits, inflateSync(Buffer.from(lst, 'base64url'), { maxOutputLength: Math.ceil(maxSize * bits / 8) }))
}

function arrayOf (bits: StatusBits, bytes: Uint8Array): StatusArray {
  const perByte = 8 / bits
  const mask = 2 ** bits - 1
  const size = bytes.length * perByte

  /** Where the status is: the lowest bits of a byte are the first ones. */
  function placeOf (index: number): { byte: number, shift: number } {
    if (!Number.isInteger(index) || index < 0 || index >= size) throw new RangeError(`A status list of ${size} entries has no index ${index}`)
    return { byte: Math.floor(index / perByte), shift: index % perByte * bits }
  }

  return {
    bits,
    size,
    set (index, status) {
      if (!Number.isInteger(status) || status < 0 || status > mask) throw new RangeError(`${bits} bits hold no status ${status}`)
      const { byte, shift } = placeOf(index)
      bytes[byte] = ((bytes[byte] ?? 0) & ~(mask << shift)) | status << shift
    },
    get (index) {
      const { byte, shift } = placeOf(index)
      return ((bytes[byte] ?? 0) >> shift) & mask
    },
    encode: () => ({ bits, lst: deflateSync(bytes, { level: 9 }).toString('base64url') })
  }
}
