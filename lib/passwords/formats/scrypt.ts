import { createCipheriv, scryptSync } from 'node:crypto'
import { readBase64, zeros } from './format.js'
import type { ForeignHash, HashFormat } from './format.js'

/** The parameters of RFC 7914. */
interface Cost {
  /** The binary logarithm of N. */
  ln: number
  r: number
  p: number
}

const PHC = /^\$scrypt\$ln=(\d{1,2}),r=(\d{1,3}),p=(\d{1,3})\$([^$]+)\$([^$]+)$/
const DJANGO = /^scrypt\$(\d{1,9})\$([^$]{1,128})\$(\d{1,3})\$(\d{1,3})\$([^$]+)$/
const BETTER_AUTH = /^([0-9a-f]{32}):([0-9a-f]{128})$/
const FIREBASE =
  /^\$fbscrypt\$v=1,n=(\d{1,2}),r=(\d{1,3}),p=(\d{1,3}),ss=([^,$]*),sk=([^,$]+)\$([^$]+)\$([^$]+)$/

/** scrypt as PHC strings, Django, better-auth and Firebase use it. */
export const scrypt: HashFormat = {
  name: 'scrypt',
  unit: 'blocks (N * r * p)',
  maxWork: 4_194_304,
  read: hash => readPhc(hash) ?? readDjango(hash) ?? readBetterAuth(hash) ?? readFirebase(hash)
}

function readPhc (text: string): ForeignHash | undefined {
  const [, ln, r, p, salt = '', digest = ''] = PHC.exec(text) ?? []
  return toHash(toCost(ln, r, p), { salt: readBase64(salt, { min: 1 }), digest: readBase64(digest) })
}

function readDjango (text: string): ForeignHash | undefined {
  const [, n, salt = '', r, p, digest = ''] = DJANGO.exec(text) ?? []
  return toHash(toCost(Math.log2(Number(n)), r, p), {
    salt: Buffer.from(salt), digest: readBase64(digest, { min: 64, max: 64 })
  })
}

/** better-auth uses the hexadecimal text of the salt as the salt. Its parameters never changed. */
function readBetterAuth (text: string): ForeignHash | undefined {
  const [, salt, digest] = BETTER_AUTH.exec(text) ?? []
  if (salt === undefined || digest === undefined) return undefined
  return toHash({ ln: 14, r: 16, p: 1 }, { salt: Buffer.from(salt), digest: Buffer.from(digest, 'hex') })
}

/**
 * Firebase encrypts the signer key of the project with the result of scrypt. The spelling is the one of Supabase: `ss`
 * is the salt separator, and `sk` the signer key.
 */
function readFirebase (text: string): ForeignHash | undefined {
  const [, n, r, p, separator = '', signer = '', salt = '', digest = ''] = FIREBASE.exec(text) ?? []
  const bytes = readBase64(salt, { min: 1 })
  const key = readBase64(signer)
  const hash = toHash(toCost(n, r, p), {
    salt: bytes && Buffer.concat([bytes, Buffer.from(separator, 'base64')]), digest: readBase64(digest)
  })
  if (hash === undefined || key === undefined || key.length !== hash.digest.length) return undefined
  // The first 32 bytes of the result are the key of the cipher.
  if (hash.digest.length < 32) return undefined
  return {
    ...hash,
    async derive (password, work) {
      const derived = await hash.derive(password, work)
      return createCipheriv('aes-256-ctr', derived.subarray(0, 32), Buffer.alloc(16)).update(key)
    }
  }
}

function toCost (ln: number | string | undefined, r: string | undefined, p: string | undefined): Cost {
  return { ln: Number(ln), r: Number(r), p: Number(p) }
}

function toHash (
  { ln, r, p }: Cost, { salt, digest }: { salt: Buffer | undefined, digest: Buffer | undefined }
): ForeignHash | undefined {
  if (salt === undefined || digest === undefined) return undefined
  // RFC 7914 section 2: N is less than 2^(128 * r / 8).
  if (!Number.isInteger(ln) || ln < 1 || ln > 40 || r < 1 || p < 1 || ln >= 16 * r) return undefined
  const blocks = 2 ** ln * r
  return {
    family: 'scrypt',
    work: blocks * p,
    memory: 128 * (blocks + r * p),
    dummy: `$scrypt$ln=${ln},r=${r},p=${p}$${zeros(16)}$${zeros(32)}`,
    digest,
    derive (password, work) {
      let derived = Buffer.alloc(0)
      for (const step of stepsOf({ ln, r }, work)) {
        derived = scryptSync(password, salt, digest.length, {
          ...step, maxmem: 128 * (blocks + r * (p + 2)) + 1_024
        })
      }
      return derived
    }
  }
}

/**
 * Returns parameters that together do this much work, within two percent. The work of a whole hash is one step, with
 * its own parameters. The rest of another hash's work needs smaller powers of two.
 */
function stepsOf ({ ln, r }: Pick<Cost, 'ln' | 'r'>, work: number): Array<{ N: number, r: number, p: number }> {
  const steps: Array<{ N: number, r: number, p: number }> = []
  let left = work
  for (let exponent = ln; exponent >= 1 && left > work / 50; exponent--) {
    const p = Math.floor(left / (2 ** exponent * r))
    if (p === 0) continue
    steps.push({ N: 2 ** exponent, r, p })
    left -= 2 ** exponent * r * p
  }
  return steps.length > 0 ? steps : [{ N: 2, r, p: 1 }]
}
