import { deflateSync, inflateSync } from 'node:zlib'

// The codec of the Token Status List: draft-ietf-oauth-status-list-21 section 4.

/** How many bits hold the status of one token. */
export type StatusBits = 1 | 2 | 4 | 8

/** Section 7.1: 0 is valid. Any further status would also reveal more to outsiders (section 12.8). */
export const INVALID = 1

/** A list as in section 4.2. */
export interface EncodedStatusList {
  bits: StatusBits
  lst: string
}

/** An array of statuses. */
export interface StatusArray {
  readonly bits: StatusBits
  readonly size: number
  /** Throws a RangeError for an index outside the list, or for a status that has too many bits. */
  set (index: number, status: number): void
  /** Throws a RangeError for an index outside the list, whose status is unknown (section 8.3, step 6). */
  get (index: number): number
  /** Compresses the list as much as possible (DEFLATE in the ZLIB format) and returns it in base64url. */
  encode (): EncodedStatusList
}

/**
 * Makes an array in which every status is VALID.
 * @param size - a multiple of 8.
 */
export function createStatusArray (bits: StatusBits, size: number): StatusArray {
  if (size % 8 !== 0) throw new RangeError(`A status list must have a multiple of 8 entries, not ${size}`)
  return arrayOf(bits, new Uint8Array(size * bits / 8))
}

/**
 * Reads an encoded list. Throws if it is malformed, or larger than `maxSize`, because a few hundred bytes can expand to
 * a gigabyte.
 * @param maxSize - the most entries.
 */
export function decodeStatusList ({ bits, lst }: EncodedStatusList, maxSize: number): StatusArray {
  if (![1, 2, 4, 8].includes(bits)) throw new RangeError(`A status must have 1, 2, 4 or 8 bits, not ${bits}`)
  return arrayOf(bits, inflateSync(Buffer.from(lst, 'base64url'), { maxOutputLength: Math.ceil(maxSize * bits / 8) }))
}

function arrayOf (bits: StatusBits, bytes: Uint8Array): StatusArray {
  const perByte = 8 / bits
  const mask = 2 ** bits - 1
  const size = bytes.length * perByte

  /** Returns where a status is. The lowest bits of a byte come first. */
  function placeOf (index: number): { byte: number, shift: number } {
    if (!Number.isInteger(index) || index < 0 || index >= size) {
      throw new RangeError(`A status list of ${size} entries has no index ${index}`)
    }
    return { byte: Math.floor(index / perByte), shift: index % perByte * bits }
  }

  return {
    bits,
    size,
    set (index, status) {
      if (!Number.isInteger(status) || status < 0 || status > mask) {
        throw new RangeError(`A status of ${bits} bits cannot be ${status}`)
      }
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
