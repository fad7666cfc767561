import { createPrivateKey, createPublicKey, createSecretKey, sign, verify } from 'node:crypto'
import type { JsonWebKey, KeyObject } from 'node:crypto'
import { ALGORITHMS } from '../../schemas/algorithms.js'
import type { Algorithm } from '../../schemas/algorithms.js'
import { recogniseKey } from '../identity/key-forms.js'
import type { KeyForm } from '../identity/key-forms.js'

/** Why a key was not imported. The message names the remedy and never quotes the key. */
export class KeyError extends Error {
  override readonly name = 'KeyError'
  readonly code: 'invalid_key' | 'duplicate_key' | 'pending_key' | 'too_many_keys'

  constructor (code: KeyError['code'], message: string, cause?: unknown) {
    super(message, { cause })
    this.code = code
  }
}

/** A key that was read from a file. */
export interface ParsedKey {
  /** The algorithms that it may be used with: one, or both of RSA if neither the file nor a hint names one. */
  algorithms: readonly [Algorithm, ...Algorithm[]]
  /** The text to seal: PEM (PKCS #8 to sign with, SPKI to verify with), or base64url bytes for HS256. */
  text: string
  /** The same for both halves of a pair: SPKI, or the secret. */
  identity: string
  /** The `kid` in the JWK. */
  kid: string | undefined
}

/** What the owner of a key adds to the file. */
export interface KeyHints {
  /**
   * What the key is for. Default: what the JWK specifies; an RSA key without that is for RS256 and PS256. A secret that
   * is not a JWK needs HS256 here. It looks like any other text, and text that others know must not become a secret by
   * mistake.
   */
  algorithm?: Algorithm
  /** The secret is in base64url (or base64). Default: the text of the file is the secret. */
  base64url?: boolean
  /** See `Leniency`. */
  allowShortSecret?: boolean
}

type Purpose = 'sign' | 'verify'

interface Material {
  key: KeyObject
  jwk: JsonWebKey | undefined
}

/**
 * RFC 7518 section 3.3 requires the minimum. With a longer key, one signature would take so long that it delays
 * everyone.
 */
const RSA_BITS = { least: 2_048, most: 4_096 }

/** RFC 7518 section 3.2: a secret must be as long as the hash. */
const SECRET_BYTES = 32

/** The longest key is an RSA key of 4,096 bits as a JWK. */
const MAX_FILE_BYTES = 16 * 1024

const KID = /^[\x21-\x7E]{1,128}$/

/** Parses a private key to sign with. Throws a KeyError. */
export function parseSigningKey (content: Buffer, hints: KeyHints = {}): ParsedKey {
  const parsed = parseKey(content, 'sign', hints)
  if (parsed === undefined) throw invalid('it is neither a PEM file nor a JWK: give the private key as one of these')
  if (parsed.algorithms[0] === 'HS256') assertLong(parsed.text, {})
  return parsed
}

/**
 * Parses a public or private key to verify with, and keeps only its public half. Also accepts an HMAC secret. Throws a
 * KeyError.
 */
export function parseVerifyOnlyKey (content: Buffer, hints: KeyHints = {}): ParsedKey {
  const parsed = parseKey(content, 'verify', hints)
  if (parsed === undefined) return parseSecret(content, hints)
  if (parsed.algorithms[0] === 'HS256') assertLong(parsed.text, hints)
  if (hints.base64url === true) throw invalid('the file holds a key, not a bare secret: leave out --base64url')
  return parsed
}

/** Throws a KeyError if a text cannot be a `kid`. */
export function assertKid (kid: string): void {
  if (!KID.test(kid)) throw invalid('its kid must have 1 to 128 characters of printable ASCII without spaces')
}

function invalid (reason: string, cause?: unknown): KeyError {
  return new KeyError('invalid_key', `The key cannot be imported: ${reason}`, cause)
}

/** Returns undefined if the file does not look like a key. */
function parseKey (content: Buffer, purpose: Purpose, { algorithm: wanted }: KeyHints): ParsedKey | undefined {
  if (content.length > MAX_FILE_BYTES) {
    throw invalid(`the file has more than ${MAX_FILE_BYTES} bytes: give one that holds the key and nothing else`)
  }
  const form = recogniseKey(content)
  if (form === undefined) {
    assertText(content)
    return undefined
  }
  const { key, jwk } = toMaterial(form, purpose)
  let algorithms = algorithmsOf(key)
  for (const named of [jwk?.alg, wanted]) {
    if (named === undefined) continue
    if (!(algorithms as readonly unknown[]).includes(named)) {
      throw invalid(`it is for ${algorithms.join(' or ')}, and cannot be used with ${String(named)}`)
    }
    algorithms = [named as Algorithm]
  }
  if (typeof jwk?.kid === 'string') assertKid(jwk.kid)
  return { algorithms, kid: typeof jwk?.kid === 'string' ? jwk.kid : undefined, ...toTexts(key, purpose) }
}

function toMaterial (found: KeyForm, purpose: Purpose): Material {
  switch (found.form) {
    case 'refused': throw invalid(found.reason)
    case 'pem': return ofPem(found.text, purpose)
    case 'jwk': return ofJwk(found.jwk, purpose)
    case 'key':
      assertUsable(found.key.type === 'private', purpose)
      return { key: found.key, jwk: undefined }
  }
}

/** Decodes UTF-8. It also refuses NULs, because UTF-16, which some shells write, has them. */
function assertText (content: Buffer): string {
  try {
    const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(content)
    if (!text.includes('\0')) return text
  } catch {
    // The message below covers this too.
  }
  throw invalid('the file is not UTF-8 text: give a key as PEM, DER or JWK, or a secret as text or in base64url')
}

function ofPem (text: string, purpose: Purpose): Material {
  if (/^-----BEGIN ENCRYPTED|^Proc-Type: *4, *ENCRYPTED/m.test(text)) {
    throw invalid('it is encrypted: decrypt it first, for example with `openssl pkey -in key.pem`')
  }
  const blocks = text.match(/-----BEGIN ((RSA |EC )?PRIVATE KEY|(RSA )?PUBLIC KEY)-----[^-]*-----END \1-----/g) ?? []
  const [block] = blocks
  if (block === undefined) {
    throw invalid(
      'the PEM file holds no PRIVATE KEY or PUBLIC KEY: extract the key of a certificate with ' +
      '`openssl x509 -pubkey -noout`'
    )
  }
  if (blocks.length > 1) throw invalid('the PEM file holds more than one key: give a file for each')
  const isPrivate = block.includes('PRIVATE KEY')
  assertUsable(isPrivate, purpose)
  return { key: read(() => isPrivate ? createPrivateKey(block) : createPublicKey(block)), jwk: undefined }
}

function ofJwk (jwk: JsonWebKey, purpose: Purpose): Material {
  const { use, key_ops: operations, alg, kid } = jwk as Record<string, unknown>
  if (use !== undefined && use !== 'sig') throw invalid(`its use is '${String(use)}', and must be 'sig'`)
  // The `key_ops` of a private key may list only `sign`. Its public half, which is kept, verifies.
  const needed = purpose === 'sign' ? ['sign'] : ['verify', 'sign']
  if (operations !== undefined && !(Array.isArray(operations) && needed.some(name => operations.includes(name)))) {
    throw invalid(`its key_ops do not include '${needed[0]}'`)
  }
  if (alg !== undefined && !(ALGORITHMS as readonly unknown[]).includes(alg)) {
    throw invalid(`its alg must be one of ${ALGORITHMS.join(', ')}`)
  }
  if (kid !== undefined && typeof kid !== 'string') throw invalid('its kid is not text: correct it, or leave it out')
  if (jwk.kty === 'oct') {
    if (typeof jwk.k !== 'string') throw invalid('its k, the secret itself, is missing: export it again')
    const bytes = toBytes(jwk.k)
    if (recogniseKey(bytes) !== undefined) {
      throw invalid('its k holds a key or a token, not a secret: give that key itself')
    }
    return { key: createSecretKey(bytes), jwk }
  }
  const isPrivate = jwk.d !== undefined
  assertUsable(isPrivate, purpose)
  return {
    key: read(() =>
      isPrivate ? createPrivateKey({ key: jwk, format: 'jwk' }) : createPublicKey({ key: jwk, format: 'jwk' })
    ),
    jwk
  }
}

function assertUsable (isPrivate: boolean, purpose: Purpose): void {
  if (purpose === 'sign' && !isPrivate) {
    throw invalid(
      'it is a public key, which cannot sign: give the private one, or import it to verify only (--verify-only)'
    )
  }
}

function read (make: () => KeyObject): KeyObject {
  try {
    return make()
  } catch (cause) {
    throw invalid(
      'it cannot be read, because it is damaged or of an unsupported type: give an RSA, EC P-256 or Ed25519 key', cause
    )
  }
}

function algorithmsOf (key: KeyObject): ParsedKey['algorithms'] {
  if (key.type === 'secret') return ['HS256']
  const { namedCurve, modulusLength = 0, publicExponent = 0n } = key.asymmetricKeyDetails ?? {}
  switch (key.asymmetricKeyType) {
    case 'ec':
      if (namedCurve !== 'prime256v1') throw invalid(`its curve is ${namedCurve}, and must be P-256 (prime256v1)`)
      return ['ES256']
    case 'ed25519': return ['EdDSA']
    case 'rsa':
      if (modulusLength < RSA_BITS.least || modulusLength > RSA_BITS.most) {
        throw invalid(
          `it is an RSA key of ${modulusLength} bits, and must have ${RSA_BITS.least} to ${RSA_BITS.most} ` +
          '(RFC 7518 section 3.3)'
        )
      }
      if (publicExponent < 65_537n) throw invalid(`its RSA exponent is ${publicExponent}, and must be at least 65537`)
      return ['RS256', 'PS256']
    default: throw invalid(`its type is ${key.asymmetricKeyType}, and must be RSA, EC P-256 or Ed25519`)
  }
}

function toTexts (key: KeyObject, purpose: Purpose): Pick<ParsedKey, 'text' | 'identity'> {
  if (key.type === 'secret') return ofBytes(key.export())
  const publicKey = key.type === 'private' ? createPublicKey(key) : key
  if (key.type === 'private' && !belongTogether(key, publicKey)) {
    throw invalid('its private and public halves do not match: export it again')
  }
  const identity = publicKey.export({ type: 'spki', format: 'pem' }).toString()
  return { identity, text: purpose === 'sign' ? key.export({ type: 'pkcs8', format: 'pem' }).toString() : identity }
}

/** Whether the halves of a pair match. A JWK has both, and nothing else checks that. */
function belongTogether (privateKey: KeyObject, publicKey: KeyObject): boolean {
  const digest = privateKey.asymmetricKeyType === 'ed25519' ? null : 'sha256'
  const text = Buffer.from('latchkey')
  try {
    return verify(digest, text, publicKey, sign(digest, text, privateKey))
  } catch {
    return false
  }
}

function parseSecret (content: Buffer, { algorithm, base64url, allowShortSecret }: KeyHints): ParsedKey {
  if (algorithm === undefined) {
    throw invalid('it is neither PEM, DER nor a JWK: if it is an HS256 secret, confirm that with --algorithm HS256')
  }
  if (algorithm !== 'HS256') throw invalid(`it is a secret, which is for HS256 and not for ${algorithm}`)
  // Editors and `echo` end a file with a line break that is no part of the secret.
  const text = assertText(content).replace(/\r?\n$/, '')
  // Keys are copied in several lines, secrets are not. Editors also disagree about line breaks, which would change it.
  if (base64url !== true && /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u.test(text)) {
    throw invalid(
      'a secret as text must be one line of visible characters: give any other in base64url, with --base64url'
    )
  }
  const texts = ofBytes(base64url === true ? toBytes(text) : Buffer.from(text))
  assertLong(texts.text, { allowShortSecret })
  return { algorithms: ['HS256'], kid: undefined, ...texts }
}

function toBytes (text: string): Buffer {
  if (!/^[A-Za-z0-9_+/-]+={0,2}$/.test(text)) {
    throw invalid('the secret is not base64url: leave out --base64url if it is plain text')
  }
  return Buffer.from(text, 'base64url')
}

function assertLong (text: string, { allowShortSecret = false }: KeyHints): void {
  const { length } = Buffer.from(text, 'base64url')
  if (length >= SECRET_BYTES || (allowShortSecret && length > 0)) return
  throw invalid(
    `the secret has ${length} bytes, and must have at least ${SECRET_BYTES} (RFC 7518 section 3.2): ` +
    'to accept the tokens of an older system anyway, pass --allow-short-secret'
  )
}

function ofBytes (bytes: Buffer): Pick<ParsedKey, 'text' | 'identity'> {
  const text = bytes.toString('base64url')
  return { text, identity: text }
}
