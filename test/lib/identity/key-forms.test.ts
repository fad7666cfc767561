import { createHmac, createPublicKey, generateKeyPairSync, randomBytes } from 'node:crypto'
import type { KeyObject } from 'node:crypto'
import t from 'tap'
import { findPublicForm, recogniseKey } from '../../../lib/identity/key-forms.js'
import { parseSigningKey, parseVerifyOnlyKey } from '../../../lib/keys/import.js'

const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 })
const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const ed = generateKeyPairSync('ed25519')
const p384 = generateKeyPairSync('ec', { namedCurve: 'P-384' })

/** Self-signed, with a P-256 key. */
const CERTIFICATE = [
  'MIIBdDCCARugAwIBAgIUUIFEKbHUt6rusd2sV4Hc/taXYDMwCgYIKoZIzj0EAwIwDzENMAsGA1UEAwwEdGVzdDAgFw0yNjExMzAx',
  'MjA3NTlaGA8yMTI2MTEwNjEyMDc1OVowDzENMAsGA1UEAwwEdGVzdDBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABPRztxzFokGk',
  'NaYfjCPfLYAfi2IowAUUBY/0/z7we3ksdPqybeQIFrdL5jLGu2MVIgceeIfp5nprgp5di1c9U/+jUzBRMB0GA1UdDgQWBBSG4Q0Y',
  'eHHXaC6g5kQAa+AxwIgu7DAfBgNVHSMEGDAWgBSG4Q0YeHHXaC6g5kQAa+AxwIgu7DAPBgNVHRMBAf8EBTADAQH/MAoGCCqGSM49',
  'BAMCA0cAMEQCIG7gLdztWlr43E/Yqhj5svfZxIAKPwlJNo9OY5wHXjc+AiBCBMOOEmy1MCWx/hs+//wKzbh19PwhhHLDfuWmCUei',
  'DA=='
].join('')

const SSH_ED25519 = 'AAAAC3NzaC1lZDI1NTE5AAAAIGojU0gSQJ6aF1o4Cnrj188EytFJfkFn6VI2QMCMspoG'

function der (key: KeyObject, type: 'pkcs8' | 'pkcs1' | 'sec1' | 'spki'): Buffer {
  return key.export({ type: type as 'pkcs8', format: 'der' })
}

function armour (bytes: Buffer | string, label: string): string {
  const text = typeof bytes === 'string' ? bytes : bytes.toString('base64')
  return `-----BEGIN ${label}-----\n${text.replaceAll(/.{64}/g, '$&\n')}\n-----END ${label}-----\n`
}

/** An SSH key as specified in RFC 4253 section 6.6. */
function ssh (name: string): string {
  const text = Buffer.from(name)
  const length = Buffer.alloc(4)
  length.writeUInt32BE(text.length)
  return `${name} ${Buffer.concat([length, text, Buffer.alloc(64, 7)]).toString('base64')} me@example`
}

/** Keys that others may know, as bytes. */
const KEYS: Record<string, Buffer> = {
  'SPKI, RSA': der(rsa.publicKey, 'spki'),
  'SPKI, P-256': der(ec.publicKey, 'spki'),
  'SPKI, Ed25519': der(ed.publicKey, 'spki'),
  'SPKI, P-384': der(p384.publicKey, 'spki'),
  'SPKI, X25519': der(generateKeyPairSync('x25519').publicKey, 'spki'),
  'SPKI, RSA-PSS': der(generateKeyPairSync('rsa-pss', { modulusLength: 2048 }).publicKey, 'spki'),
  'SPKI that is cut off': der(rsa.publicKey, 'spki').subarray(0, 200),
  'SPKI with something after it': Buffer.concat([der(rsa.publicKey, 'spki'), Buffer.from('\n\n')]),
  'PKCS #1, public': der(rsa.publicKey, 'pkcs1'),
  'PKCS #1, private': der(rsa.privateKey, 'pkcs1'),
  'PKCS #8': der(ec.privateKey, 'pkcs8'),
  'PKCS #8, Ed25519': der(ed.privateKey, 'pkcs8'),
  'PKCS #8, encrypted': ec.privateKey.export({ type: 'pkcs8', format: 'der', cipher: 'aes-256-cbc', passphrase: 'x' }),
  'SEC 1': der(ec.privateKey, 'sec1'),
  'a certificate': Buffer.from(CERTIFICATE, 'base64'),
  'a bare point': der(ec.publicKey, 'spki').subarray(-65),
  'an SSH key without its name': Buffer.from(SSH_ED25519, 'base64'),
  'an SSH key': Buffer.from(`ssh-ed25519 ${SSH_ED25519} me@example\n`),
  'ssh-rsa': Buffer.from(ssh('ssh-rsa')),
  'ecdsa-sha2-nistp256': Buffer.from(ssh('ecdsa-sha2-nistp256')),
  'sk-ssh-ed25519': Buffer.from(ssh('sk-ssh-ed25519@openssh.com')),
  'a line of authorized_keys': Buffer.from(`no-pty,command="x" ssh-ed25519 ${SSH_ED25519}`),
  SSH2: Buffer.from(`---- BEGIN SSH2 PUBLIC KEY ----\nComment: "x"\n${SSH_ED25519}\n---- END SSH2 PUBLIC KEY ----\n`),
  'an OpenSSH private key': Buffer.from(
    armour(Buffer.from(`openssh-key-v1\0${'x'.repeat(100)}`), 'OPENSSH PRIVATE KEY')
  ),
  'PEM, SPKI': Buffer.from(armour(der(rsa.publicKey, 'spki'), 'PUBLIC KEY')),
  'PEM, PKCS #1': Buffer.from(armour(der(rsa.publicKey, 'pkcs1'), 'RSA PUBLIC KEY')),
  'PEM, a chain of certificates': Buffer.from(armour(CERTIFICATE, 'CERTIFICATE').repeat(2)),
  'PEM, PGP': Buffer.from(armour(randomBytes(200), 'PGP PUBLIC KEY BLOCK')),
  'a JWK': Buffer.from(JSON.stringify(ec.publicKey.export({ format: 'jwk' }))),
  'a JWKS of one': Buffer.from(JSON.stringify({ keys: [ec.publicKey.export({ format: 'jwk' })] })),
  'a JWKS of two': Buffer.from(
    JSON.stringify({ keys: [ec, rsa].map(({ publicKey }) => publicKey.export({ format: 'jwk' })) })
  ),
  'an array of JWKs': Buffer.from(JSON.stringify([ec.publicKey.export({ format: 'jwk' })])),
  'certificates by name, as Firebase publishes them': Buffer.from(
    JSON.stringify({ kid: armour(CERTIFICATE, 'CERTIFICATE') })
  ),
  'a token': Buffer.from(`eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9.${'A'.repeat(43)}`)
}

/** Ways in which a text may be wrapped in transit. */
const WRAPPINGS: Record<string, (bytes: Buffer) => string | Buffer> = {
  'as it is': bytes => bytes,
  base64: bytes => bytes.toString('base64'),
  'base64 in lines': bytes => bytes.toString('base64').replaceAll(/.{64}/g, '$&\r\n'),
  'base64 without padding': bytes => bytes.toString('base64').replaceAll('=', ''),
  base64url: bytes => bytes.toString('base64url'),
  'base64 in blanks': bytes => `\uFEFF \t${bytes.toString('base64')} \r\n\r\n`,
  'base64 in double quotes': bytes => `"${bytes.toString('base64')}"\n`,
  'base64 in single quotes': bytes => `'${bytes.toString('base64')}'`,
  'base64 of base64': bytes => Buffer.from(bytes.toString('base64')).toString('base64'),
  'base64 with percent signs': bytes => encodeURIComponent(bytes.toString('base64')),
  hexadecimal: bytes => bytes.toString('hex'),
  'hexadecimal in upper case with colons': bytes => (bytes.toString('hex').toUpperCase().match(/../g) ?? []).join(':'),
  'with a name before it': bytes => `PUBLIC_KEY=${bytes.toString('base64')}`,
  'base64 of a PEM': bytes => Buffer.from(armour(bytes, 'PUBLIC KEY')).toString('base64'),
  'a PEM on one line': bytes => armour(bytes, 'PUBLIC KEY').replaceAll('\n', '\\n'),
  'a PEM as JSON': bytes => JSON.stringify(armour(bytes, 'PUBLIC KEY'))
}

const inLines = (text: string, length: number): string[] => text.match(new RegExp(`.{1,${length}}`, 'g')) ?? []
const base64Lines = (bytes: Buffer): string[] => inLines(bytes.toString('base64'), 40)
const hexBytes = (bytes: Buffer): string[] => inLines(bytes.toString('hex'), 2)
const wrapOften = (text: string, times: number): string => {
  return times === 0 ? text : wrapOften(Buffer.from(text).toString('base64'), times - 1)
}

/** How a key gets into other text, or into pieces. */
const BURIALS: Record<string, (bytes: Buffer) => string> = {
  'short lines after a name': bytes => `PUBLIC_KEY=${base64Lines(bytes).join('\n')}`,
  'short lines after a comment': bytes => `# my key\n${base64Lines(bytes).join('\n')}`,
  'quoted as in mail': bytes => base64Lines(bytes).map(line => `> ${line}`).join('\n'),
  'a block of YAML': bytes => `key: >-\n${base64Lines(bytes).map(line => `  ${line}`).join('\n')}`,
  'quoted-printable': bytes => base64Lines(bytes).join('=\n').replaceAll(/=$/g, '=3D'),
  'lines that continue': bytes => base64Lines(bytes).join(' \\\n'),
  'strings that are joined': bytes => base64Lines(bytes).map(line => `'${line}' +`).join('\n'),
  'PEM without dashes': bytes => `BEGIN PUBLIC KEY\n${base64Lines(bytes).join('\n')}\nEND PUBLIC KEY`,
  'hex with dashes': bytes => hexBytes(bytes).join('-').toUpperCase(),
  'hex as in C': bytes => hexBytes(bytes).map(byte => `0x${byte}`).join(', '),
  'hex with escapes': bytes => hexBytes(bytes).map(byte => `\\x${byte}`).join(''),
  'a dump': bytes => inLines(bytes.toString('hex'), 32).map((line, at) => {
    return `${(at * 16).toString(16).padStart(8, '0')}: ${inLines(line, 4).join(' ')}  ................`
  }).join('\n'),
  'decimal bytes': bytes => [...bytes].join(', '),
  'six layers of base64': bytes => wrapOften(bytes.toString('base64'), 6),
  'base64 of UTF-16': bytes => Buffer.from(armour(bytes, 'PUBLIC KEY'), 'utf16le').toString('base64'),
  'zero-width spaces': bytes => inLines(bytes.toString('base64'), 20).join('\u200B'),
  'a tab as an escape': bytes => base64Lines(bytes).join('\\t'),
  'without its first character': bytes => bytes.toString('base64').slice(1),
  'slashes as PHP writes them': bytes => bytes.toString('base64').replaceAll('/', '\\/'),
  'among words': bytes => `the key is ${bytes.toString('base64')}, thanks`
}

const PUBLIC_FORMS = ['SPKI, RSA', 'SPKI, P-256', 'SPKI, Ed25519', 'SPKI, P-384', 'PKCS #1, public', 'a certificate']
const PUBLIC_JWK = JSON.stringify(ec.publicKey.export({ format: 'jwk' }))
const { x = '', y = '' } = ec.publicKey.export({ format: 'jwk' })
const MODULUS = rsa.publicKey.export({ format: 'jwk' }).n ?? ''

/** Texts that are known by a name in them. */
const LABELLED: Record<string, string> = {
  'a JWK in a variable': `JWK=${PUBLIC_JWK}`,
  'a JWK in code': `const jwk = ${PUBLIC_JWK};`,
  'a JWKS in code': `module.exports={"keys":[${PUBLIC_JWK}]}`,
  'a JWK after a comment': `// key\n${PUBLIC_JWK}`,
  'a JWK as an object literal': `jwk = { kty: 'EC', x: '${x}', y: '${y}' }`,
  'a JWK as YAML': `kty: EC\ncrv: P-256\nx: ${x}\ny: ${y}`,
  'a JWK in base64 of UTF-16': Buffer.from(PUBLIC_JWK, 'utf16le').toString('base64'),
  RSAKeyValue: `<RSAKeyValue><Modulus>${MODULUS}</Modulus><Exponent>AQAB</Exponent></RSAKeyValue>`,
  'openssl rsa -modulus': `Modulus=${Buffer.from(MODULUS, 'base64url').toString('hex').toUpperCase()}`,
  'openssl rsa -text':
    `Public-Key: (2048 bit)\nModulus:\n    00:${hexBytes(Buffer.from(MODULUS, 'base64url')).join(':')}`,
  'an SSH key in short lines': `ssh-ed25519\n${base64Lines(Buffer.from(SSH_ED25519, 'base64')).join('\n')}`,
  'a bare point without its first byte': [x, y].map(half => Buffer.from(half, 'base64url').toString('hex')).join(''),
  'a token after its scheme': 'Bearer eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhIn0.abcdefghijklmnopqrstuvwxyz',
  'a token before a comma': '"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhIn0.abcdefghijklmnopqrstuvwxyz",'
}

t.test('never a secret: a key that is buried in other text', async t => {
  const table = Object.entries(LABELLED)
  for (const form of PUBLIC_FORMS) {
    for (const [name, bury] of Object.entries(BURIALS)) table.push([`${form}, ${name}`, bury(KEYS[form] as Buffer)])
  }
  for (const [name, text] of table) {
    for (const base64url of [false, true]) {
      t.throws(
        () => parseVerifyOnlyKey(Buffer.from(text), { algorithm: 'HS256', base64url }), { code: 'invalid_key' }, name
      )
    }
    t.ok(findPublicForm(text), `${name}, as the secret of the service`)
  }
})

t.test('a secret as text is one line of visible characters', async t => {
  for (const text of [
    'first line of it\nand a second line', 'a secret with a\ttab in it, long enough', `x\u200B${'y'.repeat(32)}`
  ]) {
    t.throws(() => parseVerifyOnlyKey(Buffer.from(text), { algorithm: 'HS256' }), { message: /--base64url/ })
    const encoded = Buffer.from(Buffer.from(text).toString('base64url'))
    t.match(parseVerifyOnlyKey(encoded, { algorithm: 'HS256', base64url: true }), { algorithms: ['HS256'] })
  }
})

/** What an import makes of it, with each option that would make a secret of it. */
function importAsSecret (content: Buffer): string[] {
  return [{}, { algorithm: 'HS256' }, { base64url: true }, { algorithm: 'HS256', base64url: true }].map(hints => {
    try {
      return parseVerifyOnlyKey(content, hints as object).algorithms.join()
    } catch (error) {
      return (error as { code: string }).code
    }
  })
}

for (const [name, bytes] of Object.entries(KEYS)) {
  t.test(`never an HS256 secret: ${name}`, async t => {
    for (const [wrapping, wrap] of Object.entries(WRAPPINGS)) {
      const content = Buffer.from(wrap(bytes))
      t.notOk(importAsSecret(content).some(outcome => outcome.includes('HS256')), wrapping)
      for (const base64url of [false, true]) {
        t.throws(
          () => parseVerifyOnlyKey(content, { algorithm: 'HS256', base64url }),
          { code: 'invalid_key' },
          wrapping
        )
      }
      const k = Buffer.from(content).toString('base64url')
      for (const alg of [undefined, 'HS256']) {
        t.throws(
          () => parseVerifyOnlyKey(Buffer.from(JSON.stringify({ kty: 'oct', k, alg }))),
          { code: 'invalid_key' },
          `${wrapping}, as k of a JWK`
        )
      }
    }
  })
}

t.test('a public key is read in the forms in which consoles show it', async t => {
  const readable = [
    'SPKI, RSA',
    'SPKI, P-256',
    'SPKI, Ed25519',
    'PKCS #1, public',
    'PKCS #8',
    'SEC 1',
    'PEM, SPKI',
    'a JWK'
  ]
  const wrappings = [
    'as it is',
    'base64',
    'base64 in lines',
    'base64 without padding',
    'base64url',
    'base64 in blanks',
    'base64 in double quotes',
    'base64 of base64',
    'hexadecimal'
  ]
  for (const name of readable) {
    const bytes = KEYS[name] as Buffer
    const expected = parseVerifyOnlyKey(bytes)
    t.match(expected.text, /^-----BEGIN PUBLIC KEY-----/, name)
    for (const wrapping of wrappings) {
      t.same(
        parseVerifyOnlyKey(Buffer.from((WRAPPINGS[wrapping] as (bytes: Buffer) => string)(bytes))),
        expected,
        `${name}, ${wrapping}`
      )
    }
  }
  t.same(
    parseVerifyOnlyKey(Buffer.from(String(WRAPPINGS['a PEM on one line']?.(KEYS['SPKI, RSA'] as Buffer)))).algorithms,
    ['RS256', 'PS256']
  )
  t.equal(
    parseSigningKey(der(ec.privateKey, 'pkcs8')).identity,
    parseVerifyOnlyKey(der(createPublicKey(ec.privateKey), 'spki')).identity,
    'to sign with, from DER'
  )
  t.throws(() => parseSigningKey(der(ec.publicKey, 'spki')), /it is a public key, which cannot sign/)
})

t.test('each refusal names the remedy', async t => {
  const table: Array<[string, RegExp]> = [
    ['an SSH key', /ssh-keygen -e -m PKCS8/],
    ['an OpenSSH private key', /ssh-keygen -p -m PEM/],
    ['a certificate', /openssl x509 -pubkey/],
    ['PEM, a chain of certificates', /openssl x509 -pubkey/],
    ['a JWKS of one', /give one JWK/],
    ['an array of JWKs', /give one JWK/],
    ['a token', /give the key that signed it/],
    ['SPKI that is cut off', /damaged/]
  ]
  for (const [name, says] of table) {
    t.throws(() => parseVerifyOnlyKey(KEYS[name] as Buffer, { algorithm: 'HS256' }), { message: says }, name)
  }
})

t.test('real secrets are not mistaken for keys', async t => {
  const secrets = [
    'your-256-bit-secret-your-256-bit-secret',
    'a secret of an older system, long enough',
    '[brackets] and {braces} and "quotes" inside',
    '0x0102030405060708090a0b0c0d0e0f1011121314',
    '0'.repeat(64),
    '100% of this is a secret, %41 and all',
    '"a text that begins with a quote and is long',
    'key = value; another = value; yet another = value',
    'prod-ssh-gateway-shared-secret-of-2026',
    'eyJ this begins like a token. it is none.',
    `${Buffer.alloc(48, 5).toString('base64')}\n${Buffer.alloc(24, 6).toString('base64')}`
  ]
  for (const secret of secrets) t.equal(recogniseKey(Buffer.from(secret)), undefined, secret)
  for (let seed = 0; seed < 2_000; seed++) {
    const bytes = createHmac('sha512', 'seed').update(String(seed)).digest().subarray(0, 32 + seed % 33)
    for (const content of [
      bytes,
      ...(['base64', 'base64url', 'hex'] as const).map(encoding => Buffer.from(bytes.toString(encoding)))
    ]) {
      if (recogniseKey(content) !== undefined) t.fail(content.toString('hex'))
    }
  }
})

t.test('the secret of the service cannot be a public key either', async t => {
  for (const [name, bytes] of Object.entries(KEYS)) {
    const isPrivate = /private|PKCS #8$|PKCS #8, Ed25519|SEC 1/.test(name)
    for (const text of [bytes.toString('base64'), bytes.toString()]) {
      if (isPrivate || text.includes('\uFFFD')) continue
      t.ok(findPublicForm(text), name)
    }
  }
  t.equal(findPublicForm(armour(der(ec.privateKey, 'pkcs8'), 'PRIVATE KEY')), undefined, 'a private key can be one')
  t.equal(findPublicForm(randomBytes(32).toString('base64')), undefined)
})
