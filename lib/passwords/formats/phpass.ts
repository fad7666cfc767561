import { createHash } from 'node:crypto'
import type { HashFormat } from './format.js'

const ALPHABET = './0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'
const PATTERN = /^\$[PH]\$([./0-9A-Za-z])([./0-9A-Za-z]{8})([./0-9A-Za-z]{22})$/

/** phpass, the portable hashes of WordPress before 6.8 (`$P$`) and phpBB (`$H$`). */
export const phpass: HashFormat = {
  name: 'phpass',
  unit: 'rounds',
  maxWork: 2 ** 18,
  read (hash) {
    const [, cost, salt = '', digest = ''] = PATTERN.exec(hash) ?? []
    if (cost === undefined) return undefined
    return {
      family: 'phpass',
      work: 2 ** ALPHABET.indexOf(cost),
      memory: 0,
      dummy: `$P$${cost}${'.'.repeat(30)}`,
      digest: Buffer.from(digest),
      derive: (password, work) => Buffer.from(encode(hashMany(password, salt, work)))
    }
  }
}

function hashMany (password: string, salt: string, rounds: number): Buffer {
  let digest = md5(salt, password)
  for (let round = 0; round < rounds; round++) digest = md5(digest, password)
  return digest
}

function md5 (first: string | Buffer, second: string): Buffer {
  return createHash('md5').update(first).update(second).digest()
}

/** Encodes three bytes in four characters, the lowest six bits first. */
function encode (bytes: Buffer): string {
  let text = ''
  for (let at = 0; at < bytes.length; at += 3) {
    const part = bytes.subarray(at, at + 3)
    const bits = part.readUIntLE(0, part.length)
    for (let digit = 0; digit <= part.length; digit++) text += ALPHABET.charAt((bits >> (6 * digit)) & 63)
  }
  return text
}
