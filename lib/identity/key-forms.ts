import { createPrivateKey, createPublicKey, ECDH, X509Certificate } from 'node:crypto'
import type { JsonWebKey, KeyObject } from 'node:crypto'
import { findTrace } from './hidden-keys.js'

// Recognises keys in every form in which people copy them. A public key that passed for an HS256 secret would let
// anyone who knows it forge tokens. So whatever looks like a key is read as that key or refused, and is never a secret.

/** What a file or a text turned out to be. */
export type KeyForm =
  | { form: 'key', key: KeyObject }
  | { form: 'pem', text: string }
  | { form: 'jwk', jwk: JsonWebKey & Record<string, unknown> }
  /** Input that is never a secret and cannot be imported. `reason`: what it is, and what to do. */
  | { form: 'refused', reason: string }

/** How many encodings may be nested, for example base64 in quotes in base64. */
const MOST_LAYERS = 4

/** A run of base64 that is long enough for a bare point. `findTrace` finds keys that have a form. */
const EMBEDDED = /[\w+/-]{48,}={0,2}/g

const SSH = refused(
  'it is an SSH key: convert it to PEM with `ssh-keygen -e -m PKCS8 -f key.pub`, ' +
  'or a private one with `ssh-keygen -p -m PEM -f key`'
)
const CERTIFICATE = refused('it is a certificate: extract its key with `openssl x509 -pubkey -noout`')
const SET = refused('it is a set of keys: give one JWK')
const TOKEN = refused('it is a token, not a key: give the key that signed it')
const UNKNOWN_DER = refused(
  'it is a DER key or certificate that cannot be read, because it is damaged, encrypted or of another type: ' +
  'give an unencrypted RSA, EC P-256 or Ed25519 key'
)
const POINT = refused('it is a bare point of an elliptic curve, which is a public key: give it as PEM or as a JWK')
const AMONG_OTHER_TEXT = refused('it contains a key among other text: give a file that holds the key and nothing else')

function refused (reason: string): KeyForm {
  return { form: 'refused', reason }
}

/** Reads a key in any encoding. Returns undefined if the content does not look like one, so that it may be a secret. */
export function recogniseKey (content: Buffer): KeyForm | undefined {
  const found = readKey(content, MOST_LAYERS)
  if (found !== undefined) return found
  const trace = findTrace(content)
  return trace === undefined ? undefined : trace === 'token' ? TOKEN : AMONG_OTHER_TEXT
}

function readKey (content: Buffer, layers: number): KeyForm | undefined {
  const binary = ofDer(content) ?? (isSshKey(content) ? SSH : isPoint(content) ? POINT : undefined)
  if (binary !== undefined) return binary
  const text = toText(content)
  return text === undefined || layers === 0 ? undefined : ofText(text, layers - 1)
}

/**
 * Returns what a text is if it must not be a secret: a public key or a token, which others know. Otherwise returns
 * undefined.
 */
export function findPublicForm (secret: string): string | undefined {
  const found = recogniseKey(Buffer.from(secret))
  if (found === undefined) return undefined
  const isPrivate =
    found.form === 'key'
      ? found.key.type === 'private'
      : found.form === 'pem'
        ? found.text.includes('PRIVATE KEY-----')
        : found.form === 'jwk' && (found.jwk.d !== undefined || found.jwk.kty === 'oct')
  return isPrivate ? undefined : found === TOKEN ? 'a token' : 'a public key'
}

function toText (content: Buffer): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(content)
  } catch {
    return undefined
  }
}

function ofText (raw: string, layers: number): KeyForm | undefined {
  const text = unwrap(raw)
  if (/-----BEGIN |---- BEGIN SSH2/.test(text)) return ofArmour(text)
  if (/(?:ssh-|ecdsa-sha2-|sk-)[\w@.-]{1,64}[ \t]+AAAA/.test(text)) return SSH
  if (/^eyJ[\w-]+\.[\w-]*\.[\w-]*(?:\.[\w-]*\.[\w-]*)?$/.test(text)) return TOKEN
  if (/^[{["]/.test(text)) {
    const found = ofJson(text, layers)
    if (found !== undefined) return found
  }
  for (const decoded of decode(text)) {
    const found = readKey(decoded, layers)
    if (found !== undefined) return found
  }
  // Such as PUBLIC_KEY=BAbc... in a file of variables.
  const runs = text.match(EMBEDDED) ?? []
  return runs.some(run => isPoint(Buffer.from(run, 'base64'))) ? AMONG_OTHER_TEXT : undefined
}

/** Removes what editors, shells and .env files put around a key. */
function unwrap (raw: string): string {
  let text = raw.replaceAll('\\r', '').replaceAll('\\n', '\n').replace(/^\uFEFF/, '').trim()
  for (const quote of ['"', "'", '`']) {
    if (text.length > 1 && text.startsWith(quote) && text.endsWith(quote)) text = text.slice(1, -1).trim()
  }
  return text
}

function ofArmour (text: string): KeyForm {
  if (/BEGIN SSH2|BEGIN OPENSSH/.test(text)) return SSH
  return { form: 'pem', text }
}

function ofJson (text: string, layers: number): KeyForm | undefined {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    // The message of the parser would quote the text.
    return text.startsWith('{') ? refused('it looks like a JWK but is not valid JSON: export it again') : undefined
  }
  if (typeof value === 'string') return layers === 0 ? undefined : ofText(value, layers - 1)
  if (typeof value !== 'object' || value === null) return undefined
  if (Array.isArray(value) || 'keys' in value) return SET
  if (!('kty' in value)) return refused('it is JSON but not a JWK, because it has no kty: export it again')
  return { form: 'jwk', jwk: value as JsonWebKey & Record<string, unknown> }
}

/** Decodes a text that may be base64, base64url or hexadecimal, wrapped or not, or percent-encoded. */
function decode (text: string): Buffer[] {
  const decoded: Buffer[] = []
  const compact = text.replaceAll(/\s/g, '')
  if (/^[\w+/-]+={0,2}$/.test(compact)) decoded.push(Buffer.from(compact, 'base64'))
  const digits = compact.replaceAll(':', '').replace(/^0x/i, '')
  if (digits.length > 0 && digits.length % 2 === 0 && /^[\da-f]+$/i.test(digits)) {
    decoded.push(Buffer.from(digits, 'hex'))
  }
  if (/%[\da-f]{2}/i.test(text)) {
    try {
      decoded.push(Buffer.from(decodeURIComponent(text)))
    } catch {
      // It is plain text with a percent sign.
    }
  }
  return decoded
}

function ofDer (der: Buffer): KeyForm | undefined {
  if (der[0] !== SEQUENCE) return undefined
  for (const type of ['pkcs8', 'pkcs1', 'sec1'] as const) {
    const key = attempt(() => createPrivateKey({ key: der, format: 'der', type }))
    if (key !== undefined) return { form: 'key', key }
  }
  for (const type of ['spki', 'pkcs1'] as const) {
    const key = attempt(() => createPublicKey({ key: der, format: 'der', type }))
    if (key !== undefined) return { form: 'key', key }
  }
  if (attempt(() => new X509Certificate(der)) !== undefined) return CERTIFICATE
  return looksLikeDer(der) ? UNKNOWN_DER : undefined
}

function attempt<T> (make: () => T): T | undefined {
  try {
    return make()
  } catch {
    return undefined
  }
}

const SEQUENCE = 0x30
const INTEGER = 0x02
const OBJECT_ID = 0x06

/** How the object identifiers of RSA, EC, DSA, and the Edwards and Montgomery curves begin. */
const OBJECT_IDS = ['06092a864886f70d0101', '06072a8648ce3d0201', '06072a8648ce3804', '06032b65'].map(hex =>
  Buffer.from(hex, 'hex')
)

/** Whether bytes begin like a key or a certificate, even a truncated one. Text and random bytes do not. */
function looksLikeDer (der: Buffer): boolean {
  const head = der.subarray(0, 48)
  if (OBJECT_IDS.some(id => head.includes(id))) return true
  const length = der[1] ?? 0
  const isLong = length > 0x80 && length < 0x85
  const first = der[2 + (isLong ? length - 0x80 : 0)]
  if (isLong) return first === SEQUENCE || first === INTEGER || first === OBJECT_ID
  return length === der.length - 2 && (first === INTEGER || first === OBJECT_ID)
}

/** Whether bytes begin with a length and a name, like every OpenSSH key: RFC 4253 section 6.6. */
function isSshKey (bytes: Buffer): boolean {
  if (bytes.subarray(0, 15).toString('latin1') === 'openssh-key-v1\0') return true
  if (bytes.length < 8) return false
  const length = bytes.readUInt32BE(0)
  return length < 64 && /^(?:ssh-|ecdsa-sha2-|sk-)/.test(bytes.subarray(4, 4 + length).toString('latin1'))
}

const CURVES: Partial<Record<number, string[]>> = {
  65: ['prime256v1', 'secp256k1'],
  97: ['secp384r1'],
  133: ['secp521r1']
}

/**
 * An uncompressed point: SEC 1 section 2.3.3, also without its first byte. A compressed one is not looked for, because
 * one in 170 random secrets of 33 bytes is one.
 */
function isPoint (bytes: Buffer): boolean {
  const point = bytes.length % 2 === 0 ? Buffer.concat([Buffer.of(4), bytes]) : bytes
  return (
    point[0] === 4 &&
    CURVES[point.length]?.some(curve => attempt(() => ECDH.convertKey(point, curve)) !== undefined) === true
  )
}
