// Finds keys that are buried in other text or broken into pieces. It only detects that a key is there, because such a
// text is refused and never read. It looks for the first bytes of each kind of key, so it needs no list of the ways to
// write one.

/** What a text must not hold if it is to be a secret. */
export type Trace = 'key' | 'token'

/** 16 KiB of base64 cannot wrap a key more often than this. */
const MOST_LAYERS = 24

/** The bytes that keys begin with, in Latin-1. Each pattern fixes 38 bits or more, so random bytes never match. */
const SIGNATURES = new RegExp([
  String.raw`\x06\x09\x2A\x86\x48\x86\xF7\x0D\x01\x01`, // the object identifiers of RSA
  String.raw`\x06[\x07\x08]\x2A\x86\x48\xCE[\x38\x3D]`, // of EC, P-256 and DSA
  String.raw`\x06\x05\x2B\x81\x04\x00`, // of the curves of SECG: P-384, P-521, secp256k1
  String.raw`\x06\x03\x2B\x65[\x6E-\x71]`, // of X25519, X448, Ed25519 and Ed448
  String.raw`\x06\x09\x60\x86\x48\x01\x65\x03\x04`, // of NIST: ML-DSA and AES
  String.raw`\x02(?:\x81\x81|\x82[\x01\x02][\x01\x81])\x00[\x80-\xFF]`, // the modulus of PKCS #1
  String.raw`\x30\x82[^]{2}\x30\x82[^]{2}\xA0\x03\x02\x01\x02`, // a certificate
  String.raw`\x00\x00\x00[\x07-\x40](?:ssh-|ecdsa-sha2-|sk-)`, // RFC 4253 section 6.6
  String.raw`openssh-key-v1\x00`
].join('|'))

/** The names that text formats give to a key, its type or its modulus. */
const LABELS = /-----BEGIN |---- BEGIN SSH2|\bkty\b[\\"'\s]*[:=]|\bmodulus\b[\s)]*[:=>]|<RSAKeyValue/i

/** RFC 7515 section 3.1: a header in base64url begins with `{"`. */
const COMPACT_TOKEN = /(?<![\w-])eyJ[\w-]+\.[\w-]*\./

/** Finds a key or a token in bytes or text, in any mixture of base64, hexadecimal, decimal and percent signs. */
export function findTrace (content: Buffer, layers = MOST_LAYERS): Trace | undefined {
  const latin1 = content.toString('latin1')
  if (SIGNATURES.test(latin1)) return 'key'
  if (layers === 0 || !isMostlyText(latin1)) return undefined
  // UTF-16 is ASCII with NULs between.
  const text = latin1.replaceAll('\0', '')
  if (LABELS.test(text)) return 'key'
  if (COMPACT_TOKEN.test(text)) return 'token'
  for (const decoded of decodings(text)) {
    const found = findTrace(decoded, layers - 1)
    if (found !== undefined) return found
  }
  return undefined
}

/** Whether bytes are mostly text. If not, the search ends. Line breaks and the NULs of UTF-16 count as text. */
function isMostlyText (latin1: string): boolean {
  return latin1.length > 15 && (latin1.match(/[\s\0 -~]/g)?.length ?? 0) > latin1.length * 0.8
}

/**
 * Yields everything that a text may encode. It removes all characters outside an alphabet, such as line breaks, quotes,
 * operators and escapes. The words around a key can then only shift its beginning, so it tries each alignment.
 */
function * decodings (text: string): Generator<Buffer> {
  if (/%[\da-f]{2}/i.test(text)) {
    const decoded = text.replace(/%([\da-f]{2})/gi, (_, hex: string) => String.fromCharCode(parseInt(hex, 16)))
    yield Buffer.from(decoded, 'latin1')
  }
  const unescaped = text.replace(/\\(?:[fnrtv]|u[\da-f]{4})/gi, '')
  // A plus or a dash may be an operator or a bullet between two lines of base64.
  for (const foreign of [/[^\w+/-]/g, /[^\w/]/g]) {
    const base64 = unescaped.replace(foreign, '')
    for (let start = 0; start < 4; start++) yield Buffer.from(base64.slice(start), 'base64')
  }
  const hex = text.replace(/[0\\]x/gi, '').replace(/[^\da-f]/gi, '')
  for (let start = 0; start < 2; start++) yield Buffer.from(hex.slice(start), 'hex')
  const numbers = text.match(/\d+/g)?.map(Number).filter(number => number < 256) ?? []
  yield Buffer.from(numbers)
}
