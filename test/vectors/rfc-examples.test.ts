import { createHmac } from 'node:crypto'
import t from 'tap'
import { encode } from '../routes/support.js'
import { createPaths, createSignatureLayer, MISSING, readVectors, toSigningKey } from './support.js'
import type { Jwk, Verdict } from './support.js'

interface Example {
  name: string
  jws: string
  key: Jwk
  result: 'valid' | 'invalid'
}

const FILE = 'rfc/jws-examples.json'

/** A copy of base64url text with one bit of what it encodes the other way. */
function flip (text: string, at: (length: number) => number): string {
  const bytes = Buffer.from(text, 'base64url')
  const index = at(bytes.length)
  bytes[index] = (bytes[index] ?? 0) ^ 0b1000
  return bytes.toString('base64url')
}

/** Copies of a token that were changed in one place. */
function alter (
  jws: string, { key, publicKey }: { key: Jwk, publicKey: string | Buffer }, others: readonly string[]
): Record<string, string> {
  const [header = '', payload = '', signature = ''] = jws.split('.')
  const copies: Record<string, string> = {
    'no signature': `${header}.${payload}.`,
    'no signature and no dot': `${header}.${payload}`,
    'no payload': `${header}..${signature}`,
    'no header': `.${payload}.${signature}`,
    'payload and signature the other way round': `${header}.${signature}.${payload}`,
    'another dot': `${jws}.`,
    'signature twice': `${jws}${signature}`,
    'a byte of the signature less':
      `${header}.${payload}.${Buffer.from(signature, 'base64url').subarray(1).toString('base64url')}`,
    'a byte of the signature more':
      `${header}.${payload}.${Buffer.concat([Buffer.from(signature, 'base64url'), Buffer.alloc(1)]).toString('base64url')}`,
    'signature of zeros': `${header}.${payload}.${Buffer.alloc(Buffer.from(signature, 'base64url').length).toString('base64url')}`,
    'alg none': `${encode({ alg: 'none' })}.${payload}.`,
    'alg none with the signature': `${encode({ alg: 'none' })}.${payload}.${signature}`,
    'another member in the header': `${encode({ ...JSON.parse(Buffer.from(header, 'base64url').toString()), jwk: key })}.${payload}.${signature}`
  }
  const input = `${encode({ alg: 'HS256' })}.${payload}`
  if (key.kty !== 'oct') copies['HS256 with the public key'] = `${input}.${createHmac('sha256', publicKey).update(input).digest('base64url')}`
  for (const [part, text] of Object.entries({ header, payload, signature })) {
    const places = { first: () => 0, middle: (length: number) => length >> 1, last: (length: number) => length - 1 }
    for (const [where, at] of Object.entries(places)) {
      copies[`a bit of the ${where} byte of the ${part}`] = jws.replace(text, flip(text, at))
    }
  }
  for (const [index, other] of others.entries()) {
    const [otherHeader, otherPayload, otherSignature] = other.split('.')
    if (otherHeader !== header) copies[`header of example ${index}`] = `${otherHeader}.${payload}.${signature}`
    if (otherPayload !== payload) copies[`payload of example ${index}`] = `${header}.${otherPayload}.${signature}`
    if (otherSignature !== signature) copies[`signature of example ${index}`] = `${header}.${payload}.${otherSignature}`
  }
  return copies
}

t.test('the examples of RFC 7515 appendix A, RFC 7520 section 4 and RFC 8037 appendix A', { skip: MISSING }, async t => {
  const examples = readVectors<Example[]>(FILE)
  const createPath = await createPaths(t)
  for (const { name, jws, key: jwk, result } of examples) {
    const key = toSigningKey(jwk, undefined, String(jwk.alg))
    const verify = await createSignatureLayer(key)
    const { good, drive } = await createPath([key])
    // No table of differences: there is none at the signatures, and no example is an access token of ours.
    t.strictSame({ signature: verify(jws), wholePath: await drive(jws), good: await drive(good) },
      { signature: result === 'valid' ? 'accepted' : 'refused', wholePath: 'refused', good: 'accepted' }, `${name}: its signature, the example on the whole path, and a token of ours with its key`)

    const wrong: Array<[name: string, verdict: Verdict]> = []
    const material = { key: jwk, publicKey: key.public }
    if (result === 'valid') for (const [change, copy] of Object.entries(alter(jws, material, examples.map(({ jws }) => jws)))) wrong.push([change, verify(copy)])
    for (const [change, copy] of Object.entries(alter(good, material, examples.map(({ jws }) => jws)))) wrong.push([`${change}, in a token of ours`, await drive(copy)])
    t.strictSame(wrong.filter(([, verdict]) => verdict !== 'refused'), [], `${name}: ${wrong.length} altered copies are refused`)
  }
})
