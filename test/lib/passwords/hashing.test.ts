import { existsSync, readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { hashSync } from 'bcryptjs'
import t from 'tap'
import { costOf, dummyHash, isBcryptHash, MAX_COST, needsRehash } from '../../../lib/passwords/hash-format.js'
import { hashGenerated, hashPassword, spendDifference, verifyPassword } from '../../../lib/passwords/hashing.js'
import runPasswordTask from '../../../lib/passwords/worker.js'

interface Vector {
  hash: string
  password_hex: string
  result: 'valid' | 'invalid'
}

const VECTORS = resolve('../shared/vectors/bcrypt/bcrypt-vectors.json')
const V2 = '$bcrypt-sha256$v=2,t=2b,r=12$n79VH.0Q2TMWmt3Oqt9uku$Kq4Noyk3094Y2QlB8NdRT8SvGiI4ft2'
const V1 = '$bcrypt-sha256$2a,12$LrmaIX5x4TRtAwEfwJZa1.$2ehnw6LvuIUTM0iz4iz9hTxv21B6KFO'
const PLAIN = /^\$2b\$04\$[./A-Za-z0-9]{53}$/
const WRAPPED = /^\$bcrypt-sha256\$v=2,t=2b,r=4\$[./A-Za-z0-9]{22}\$[./A-Za-z0-9]{31}$/

t.test('published bcrypt vectors', { skip: existsSync(VECTORS) ? false : `no ${VECTORS}` }, async (t) => {
  const vectors = JSON.parse(readFileSync(VECTORS, 'utf8')) as Vector[]
  let compared = 0
  for (const { hash, password_hex: hex, result } of vectors) {
    const bytes = Buffer.from(hex, 'hex')
    const password = bytes.toString()
    if (result === 'invalid' || hash.startsWith('$2x$')) {
      t.notOk(isBcryptHash(hash), `${hash} is refused`)
      t.notOk(verifyPassword(password, hash), `${hash} never verifies`)
      continue
    }
    t.ok(isBcryptHash(hash), `${hash} is supported`)
    // A password in a string is always UTF-8; the vectors with other bytes have no such password.
    if (!Buffer.from(password).equals(bytes)) continue
    t.equal(verifyPassword(password, hash), bytes.length <= 72, `${hash} with ${bytes.length} bytes`)
    t.equal(verifyPassword(`${password}x`, hash), false, `${hash} with a longer password`)
    compared++
  }
  t.ok(compared >= 5, `${compared} vectors were compared`)
})

t.test('passlib bcrypt_sha256', async (t) => {
  for (const [name, hash] of [['v2', V2], ['v1', V1]] as const) {
    t.ok(isBcryptHash(hash), `${name} is supported`)
    t.equal(costOf(hash), 12, `${name} cost`)
    t.ok(verifyPassword('password', hash), `${name} right`)
    t.notOk(verifyPassword('Password', hash), `${name} wrong`)
  }
})

t.test('what is hashed verifies, and nothing else', async (t) => {
  const table: Array<[name: string, password: string, form: RegExp, others: string[]]> = [
    ['short', 'correct horse', PLAIN, ['correct horsf', 'correct horse ', '']],
    ['empty', '', PLAIN, ['\0', ' ']],
    ['72 bytes', 'a'.repeat(72), PLAIN, ['a'.repeat(71), 'a'.repeat(73), 'a'.repeat(72) + '\0']],
    ['73 bytes', 'a'.repeat(73), WRAPPED, ['a'.repeat(72), 'a'.repeat(74), 'a'.repeat(72) + 'b']],
    ['72 bytes in 36 characters', 'é'.repeat(36), PLAIN, ['é'.repeat(35), 'é'.repeat(37)]],
    ['74 bytes in 37 characters', 'é'.repeat(37), WRAPPED, ['é'.repeat(36), 'é'.repeat(36) + 'è']],
    ['1,000 bytes', 'x'.repeat(999) + 'y', WRAPPED, ['x'.repeat(1000), 'x'.repeat(999), 'x'.repeat(72)]],
    ['NUL inside', 'left\0right', WRAPPED, ['left', 'left\0', 'left\0wrong']],
    ['NUL first', '\0', WRAPPED, ['', '\0\0']],
    ['repeats with NUL (bcrypt reads its key in a circle)', 'ab', PLAIN, ['ab\0ab', 'ab\0']],
    ['emoji', '🔑🗝️🚪', PLAIN, ['🔑🗝️']]
  ]
  for (const [name, password, form, others] of table) {
    const hash = hashPassword(password, 4)
    t.match(hash, form, `${name}: form`)
    t.ok(isBcryptHash(hash), `${name}: supported`)
    t.equal(costOf(hash), 4, `${name}: cost`)
    t.ok(verifyPassword(password, hash), `${name}: right`)
    for (const other of others) {
      t.notOk(
        verifyPassword(other, hash), `${name}: not ${JSON.stringify(other.slice(-12))} (${other.length})`
      )
    }
    t.not(hashPassword(password, 4), hash, `${name}: a new salt each time`)
  }
})

t.test('imported plain hashes are never truncated', async (t) => {
  for (const password of ['a'.repeat(73), 'a'.repeat(72) + 'b', 'left\0right']) {
    t.notOk(verifyPassword(password, hashSync(password, 4)), `${password.length} characters`)
  }
  for (const ident of ['2a', '2b', '2y']) {
    const hash = hashSync('correct horse', 4).replace('2b', ident)
    t.ok(isBcryptHash(hash), `${ident} is supported`)
    t.ok(verifyPassword('correct horse', hash), `${ident} verifies`)
  }
})

t.test('NFKC: one password, however it is typed', async (t) => {
  const table: Array<[name: string, one: string, other: string]> = [
    ['composed and decomposed', 'caf\u00e9 cr\u00e8me', 'cafe\u0301 cre\u0300me'],
    ['ligature', 'o\ufb03ce', 'office'],
    ['full width', '\uff50\uff41\uff53\uff53', 'pass'],
    ['over 72 bytes only before it', 'e\u0301'.repeat(36), '\u00e9'.repeat(36)],
    ['over 72 bytes only after it', '\ufb03'.repeat(24) + 'x', 'ffi'.repeat(24) + 'x']
  ]
  for (const [name, one, other] of table) {
    t.ok(verifyPassword(one, hashPassword(other, 4)), name)
    t.ok(verifyPassword(other, hashPassword(one, 4)), `${name}, the other way`)
  }
  t.notOk(
    verifyPassword('cafe\u0301', hashSync('cafe\u0301', 4)),
    'an imported hash of a decomposed password: one try, no match'
  )
})

t.test('hashes that are refused', async (t) => {
  const good = hashPassword('correct horse', 4)
  const table: Array<[name: string, hash: string]> = [
    ['nothing', ''],
    ['garbage', 'correct horse'],
    ['truncated', good.slice(0, -1)],
    ['salt only', good.slice(0, 29)],
    ['too long', good + '.'],
    ['a line break behind it', good + '\n'],
    ['a space before it', ' ' + good],
    ['$2$', good.replace('$2b$', '$2$')],
    ['$2x$', good.replace('$2b$', '$2x$')],
    ['no ident', good.replace('$2b$', '$$')],
    ['cost 3', good.replace('$04$', '$03$')],
    ['cost without zero', good.replace('$04$', '$4$')],
    ['cost too high', good.replace('$04$', `$${MAX_COST + 1}$`)],
    ['cost 31', good.replace('$04$', '$31$')],
    ['cost 99', good.replace('$04$', '$99$')],
    ['bad salt character', good.slice(0, 7) + '!' + good.slice(8)],
    ['salt with unused bits', good.slice(0, 28) + '/' + good.slice(29)],
    ['digest with unused bits', good.slice(0, -1) + '/'],
    ['bcrypt-sha256 v3', V2.replace('v=2', 'v=3')],
    ['bcrypt-sha256 v2 with 2a', V2.replace('t=2b', 't=2a')],
    ['bcrypt-sha256 v2 with a padded cost', V2.replace('r=12', 'r=04')],
    ['bcrypt-sha256 v2 with cost 31', V2.replace('r=12', 'r=31')],
    ['bcrypt-sha256 v2 truncated', V2.slice(0, -1)],
    ['bcrypt-sha256 v2 without digest', V2.slice(0, -32)],
    ['bcrypt-sha256 v1 with 2y', V1.replace('2a,', '2y,')],
    ['argon2', '$argon2id$v=19$m=65536,t=3,p=4$c29tZXNhbHQ$RdescudvJCsgt3ub+b4dWRWJTmaaJObG'],
    ['md5', '5f4dcc3b5aa765d61d8327deb882cf99']
  ]
  for (const [name, hash] of table) {
    t.notOk(isBcryptHash(hash), `${name}: not supported`)
    t.notOk(verifyPassword('correct horse', hash), `${name}: never verifies`)
    t.equal(costOf(hash), undefined, `${name}: no cost`)
    t.ok(needsRehash(hash, 4), `${name}: needs a rehash`)
  }
})

t.test('need of a rehash', async (t) => {
  const table: Array<[name: string, hash: string, cost: number, expected: boolean]> = [
    ['same cost', dummyHash(12), 12, false],
    ['lower than configured', dummyHash(10), 12, true],
    ['higher than configured', dummyHash(14), 12, false],
    ['2a, same cost', dummyHash(12).replace('2b', '2a'), 12, false],
    ['2y, same cost', dummyHash(12).replace('2b', '2y'), 12, false],
    ['v2, same cost', V2, 12, false],
    ['v2, lower cost', V2, 13, true],
    ['v1, same cost', V1, 12, true]
  ]
  for (const [name, hash, cost, expected] of table) t.equal(needsRehash(hash, cost), expected, name)
})

t.test('the dummy hash costs what a real one costs', async (t) => {
  for (const cost of [4, 10, 12, MAX_COST]) {
    t.ok(isBcryptHash(dummyHash(cost)), `cost ${cost}: well-formed`)
    t.equal(costOf(dummyHash(cost)), cost, `cost ${cost}: same cost`)
  }
  t.notOk(verifyPassword('', dummyHash(4)))
  t.doesNotThrow(() => spendDifference(4, 6))
  t.doesNotThrow(() => spendDifference(6, 4))
})

t.test('the worker does both kinds of job', async (t) => {
  const hash = runPasswordTask({ kind: 'hash', password: 'correct horse', cost: 4 })
  t.match(hash, PLAIN)
  t.equal(runPasswordTask({ kind: 'verify', password: 'correct horse', hash: String(hash), cost: 5 }), true)
  t.equal(runPasswordTask({ kind: 'verify', password: 'wrong', hash: String(hash), cost: 4 }), false)
  t.equal(runPasswordTask({ kind: 'verify', password: 'wrong', hash: 'garbage', cost: 4 }), false)
})

t.test('a generated password is hashed at the least cost, and the next login raises it', async t => {
  const password = 'q3m0n8Zt7r-5bK_x2VwY9cAe'
  const hash = hashGenerated(password)
  t.equal(costOf(hash), 4)
  t.ok(needsRehash(hash, 10))
  t.ok(verifyPassword(password, hash))
  t.notOk(verifyPassword(password.toLowerCase(), hash))
})
