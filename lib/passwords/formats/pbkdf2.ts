import { pbkdf2Sync } from 'node:crypto'
import { readBase64, zeros } from './format.js'
import type { ForeignHash, HashFormat } from './format.js'

type Hash = 'sha1' | 'sha256' | 'sha512'

const SIZES: Record<Hash, number> = { sha1: 20, sha256: 32, sha512: 64 }

const PASSLIB = /^\$pbkdf2(-sha256|-sha512)?\$([1-9]\d{0,9})\$([^$]+)\$([^$]+)$/
const DJANGO = /^pbkdf2_(sha1|sha256)\$([1-9]\d{0,9})\$([^$]{1,128})\$([^$]+)$/

/** The HMACs of ASP.NET Core Identity, by their numbers. */
const ASP_NET: ReadonlyArray<Hash | undefined> = ['sha1', 'sha256', 'sha512']

/** PBKDF2 as passlib, Django and ASP.NET Core Identity (version 3) spell it. */
export const pbkdf2: HashFormat = {
  name: 'PBKDF2',
  unit: 'iterations',
  maxWork: 3_000_000,
  read: hash => readPasslib(hash) ?? readDjango(hash) ?? readAspNet(hash)
}

function readPasslib (text: string): ForeignHash | undefined {
  const [, name = '-sha1', iterations, salt = '', digest = ''] = PASSLIB.exec(text) ?? []
  return toHash(name.slice(1) as Hash, Number(iterations), {
    salt: readBase64(salt, { min: 1 }), digest: readBase64(digest)
  })
}

function readDjango (text: string): ForeignHash | undefined {
  const [, hash, iterations, salt = '', digest = ''] = DJANGO.exec(text) ?? []
  const size = SIZES[hash as Hash]
  return toHash(hash as Hash, Number(iterations), {
    salt: Buffer.from(salt), digest: readBase64(digest, { min: size, max: size })
  })
}

/** A byte 1, as big-endian integers the HMAC, the iterations and the size of the salt, then salt and digest. */
function readAspNet (text: string): ForeignHash | undefined {
  const bytes = /^AQAAAA/.test(text) ? readBase64(text) : undefined
  if (bytes === undefined || bytes[0] !== 1) return undefined
  const [hash, iterations, saltSize] = [ASP_NET[bytes.readUInt32BE(1)], bytes.readUInt32BE(5), bytes.readUInt32BE(9)]
  const end = 13 + saltSize
  if (hash === undefined || saltSize < 1 || end + 16 > bytes.length) return undefined
  return toHash(hash, iterations, { salt: bytes.subarray(13, end), digest: bytes.subarray(end) })
}

function toHash (
  hash: Hash, iterations: number, { salt, digest }: { salt: Buffer | undefined, digest: Buffer | undefined }
): ForeignHash | undefined {
  if (salt === undefined || digest === undefined || !(iterations >= 1)) return undefined
  // Each further block of the digest would cost as much as the first one, and the first one proves the password.
  const size = Math.min(digest.length, SIZES[hash])
  return {
    family: `pbkdf2-${hash}`,
    work: iterations,
    memory: 0,
    dummy: `$pbkdf2${hash === 'sha1' ? '' : `-${hash}`}$${iterations}$${zeros(16)}$${zeros(SIZES[hash])}`,
    digest: digest.subarray(0, size),
    derive: (password, work) => pbkdf2Sync(password, salt, Math.max(1, work), size, hash)
  }
}
