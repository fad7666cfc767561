import { scryptSync } from 'node:crypto'
import t from 'tap'
import {
  costliestOf, findHashProblem, MAX_MEMORY, readForeignHash, toDummy
} from '../../../lib/passwords/formats/formats.js'
import { costOf, isBcryptHash, needsRehash } from '../../../lib/passwords/hash-format.js'
import { hashPassword, toForeignText, verifyForeign, verifyPassword } from '../../../lib/passwords/hashing.js'
import runPasswordTask from '../../../lib/passwords/worker.js'
import { FOREIGN, PHRASE, SPELLED } from './foreign-hashes.js'

function read (hash: string) {
  const found = readForeignHash(hash)
  if (found === undefined) throw new Error(`not supported: ${hash}`)
  return found
}

t.test('hashes that other programs made verify, for the right password only', async t => {
  for (const { source, hash, password = PHRASE } of FOREIGN) {
    const found = read(hash)
    t.equal(findHashProblem(hash), undefined, source)
    t.ok(await verifyForeign(password, found), source)
    for (const wrong of [`${password} `, password.toUpperCase(), '', ' ']) {
      t.notOk(await verifyForeign(wrong, found), `${source}: not '${wrong}'`)
    }
    t.ok(needsRehash(hash, 4), `${source}: the next login replaces it`)
    t.equal(await runPasswordTask({ kind: 'verify', password, hash, cost: 4 }), true, `${source}: in a worker`)
    t.equal(await runPasswordTask({ kind: 'verify', password: 'wrong', hash, cost: 4 }), false)
  }
})

t.test('bcrypt as Spring and Django spell it', async t => {
  for (const { source, hash, password = PHRASE } of SPELLED) {
    t.ok(isBcryptHash(hash), source)
    t.ok(verifyPassword(password, hash), source)
    t.notOk(verifyPassword('wrong', hash), source)
    t.equal(toDummy(hash), null)
    t.equal(needsRehash(hash, 4), hash.startsWith('bcrypt_sha256'), 'plain SHA-256 inside bcrypt is replaced')
  }
})

t.test('one character more, less or other makes it another hash or none', async t => {
  for (const { source, hash, password = PHRASE } of FOREIGN) {
    for (const changed of [hash.slice(1), ` ${hash}`, `${hash}\n`, `$${hash}`, hash.slice(0, hash.length >> 1)]) {
      t.type(findHashProblem(changed), 'string', `${source}: ${JSON.stringify(changed)}`)
    }
    const middle = hash.length - 12
    const other = hash.slice(0, middle) + (hash[middle] === 'a' ? 'b' : 'a') + hash.slice(middle + 1)
    t.notOk(await verifyForeign(password, read(other)), `${source}: another digest`)
  }
})

t.test('a hash that would take too much memory or time is refused, and the reason names the bound', async t => {
  const [salt, digest] = ['AAAAAAAAAAAAAAAAAAAAAA', 'A'.repeat(43)]
  const aspNet = (...numbers: number[]): string => {
    const header = Buffer.alloc(13)
    header[0] = 1
    numbers.forEach((number, index) => header.writeUInt32BE(number, 1 + 4 * index))
    return Buffer.concat([header, Buffer.alloc(48)]).toString('base64')
  }
  const table: Array<[hash: string, problem: RegExp]> = [
    [`$argon2id$v=19$m=4194304,t=1,p=1$${salt}$${digest}`, /^needs 4096 MiB of memory: Argon2 may need at most 256 MiB$/],
    [
      `$argon2id$v=19$m=65536,t=999999999,p=1$${salt}$${digest}`,
      /^needs 65535999934464 KiB times passes: Argon2 may need at most 1048576$/
    ],
    [`$argon2id$v=19$m=7,t=1,p=1$${salt}$${digest}`, /^is not supported/],
    [`$argon2id$v=19$m=1024,t=0,p=1$${salt}$${digest}`, /^is not supported/],
    [`$argon2id$v=19$m=1024,t=1,p=0$${salt}$${digest}`, /^is not supported/],
    [`$argon2id$v=16$m=1024,t=1,p=1$${salt}$${digest}`, /^is not supported/],
    [`$argon2d$v=19$m=1024,t=1,p=1$${salt}$${digest}`, /^is not supported/],
    [`$argon2id$v=19$m=1024,t=1,p=1$AAAA$${digest}`, /^is not supported/],
    [`$argon2id$v=19$m=1024,t=1,p=1$${salt}$AAAA`, /^is not supported/],
    [`$scrypt$ln=22,r=8,p=1$${salt}$${digest}`, /^needs 4097 MiB of memory: scrypt may need at most 256 MiB$/],
    [`$scrypt$ln=17,r=8,p=5$${salt}$${digest}`, /^needs 5242880 blocks .*: scrypt may need at most 4194304$/],
    [`$scrypt$ln=99,r=8,p=1$${salt}$${digest}`, /^is not supported/],
    [`$scrypt$ln=0,r=8,p=1$${salt}$${digest}`, /^is not supported/],
    [`$scrypt$ln=16,r=1,p=1$${salt}$${digest}`, /^is not supported/],
    [`$scrypt$ln=14,r=0,p=1$${salt}$${digest}`, /^is not supported/],
    [`scrypt$1023$salt$8$1$${digest}`, /^is not supported/],
    [`$fbscrypt$v=1,n=14,r=8,p=1,ss=Bw==,sk=${digest}$42xEC+ixf3L2lw==$${digest}AAAA`, /^is not supported/],
    [`pbkdf2_sha256$3000001$salt$${digest}`, /^needs 3000001 iterations: PBKDF2 may need at most 3000000$/],
    [`$pbkdf2-sha512$9999999999$${salt}$${digest}`, /^needs 9999999999 iterations/],
    [`pbkdf2_sha256$0$salt$${digest}`, /^is not supported/],
    [`pbkdf2_md5$1000$salt$${digest}`, /^is not supported/],
    [aspNet(1, 0xFFFFFFFF, 16), /^needs 4294967295 iterations/],
    [aspNet(1, 0, 16), /^is not supported/],
    [aspNet(3, 1000, 16), /^is not supported/],
    [aspNet(1, 1000, 0xFFFFFFFF), /^is not supported/],
    [aspNet(1, 1000, 40), /^is not supported/],
    [`$P$H${'.'.repeat(30)}`, /^needs 524288 rounds: phpass may need at most 262144$/],
    [`${'A'.repeat(32)}:${'A'.repeat(128)}`, /^is not supported/],
    ['5f4dcc3b5aa765d61d8327deb882cf99', /^is not supported: use bcrypt with a cost of 4 to 20, .*Argon2, scrypt, PBKDF2/]
  ]
  for (const [hash, problem] of table) {
    t.match(findHashProblem(hash), problem, hash)
    t.equal(readForeignHash(hash), undefined, `${hash}: not read`)
    t.equal(toDummy(hash), null)
  }
  t.equal(MAX_MEMORY, 256 * 1024 * 1024)
})

t.test('the dummy of a hash costs the same, and contains nothing else of it', async t => {
  for (const { source, hash } of FOREIGN) {
    const [found, dummy] = [read(hash), read(String(toDummy(hash)))]
    t.match(dummy, { family: found.family, work: found.work, memory: found.memory }, source)
    t.equal(dummy.dummy, toDummy(hash), `${source}: each kind has one dummy`)
    const parts = hash.split(/[$:,]/).filter(part => part.length > 6 && !part.startsWith('pbkdf2') && !/^argon2/.test(part))
    for (const part of parts) t.notOk(dummy.dummy.includes(part), `${source}: ${part}`)
    t.ok((await dummy.derive('x', Math.ceil(dummy.work / 3))).length > 0, `${source}: a part of the work`)
    t.ok((await dummy.derive('x', 1)).length > 0, `${source}: the least work`)
  }
})

t.test('a short digest of scrypt verifies', async t => {
  const salt = Buffer.from('a salt of scrypt')
  for (const size of [16, 24, 31, 32, 64]) {
    const digest = scryptSync(PHRASE, salt, size, { N: 16, r: 8, p: 1 })
    const base64 = (bytes: Buffer): string => bytes.toString('base64').replaceAll('=', '')
    t.ok(await verifyForeign(PHRASE, read(`$scrypt$ln=4,r=8,p=1$${base64(salt)}$${base64(digest)}`)), `${size} bytes`)
  }
})

t.test('the longest hashes within the bounds can be derived, and so can their dummies', async t => {
  const [salt, digest] = ['AAAAAAAAAAAAAAAAAAAAAA', 'A'.repeat(43)]
  for (const cost of ['ln=15,r=1,p=1', 'ln=15,r=1,p=3', 'ln=1,r=1,p=1', 'ln=10,r=64,p=4']) {
    const found = read(`$scrypt$${cost}$${salt}$${digest}`)
    const dummy = read(found.dummy)
    for (const work of [found.work, found.work / 3, found.work - 1, 1]) {
      t.ok((await found.derive('x', work)).length > 0, `${cost}: ${work}`)
      t.ok((await dummy.derive('x', work)).length > 0, `the dummy of ${cost}: ${work}`)
    }
  }
})

t.test('a password that is longer than any of ours never matches, and costs no more than a short one', async t => {
  // NFKC makes eighteen characters of this one. phpass hashes the password in each round.
  const long = '\uFDFA'.repeat(1_024)
  const { text, mayMatch } = toForeignText(long)
  t.notOk(mayMatch)
  t.ok(text.length < 10)
  t.notOk(await verifyForeign(long, read('$P$B' + '.'.repeat(30))))
  t.match(toForeignText('\uFB01sh'), { text: 'fish', mayMatch: true })
})

t.test('a dummy that fails does not fail the login', async t => {
  const own = hashPassword(PHRASE, 4)
  const warned = new Promise<Error>(resolve => { process.once('warning', resolve) })
  const dummy = String(toDummy(FOREIGN[0]?.hash ?? ''))
  // Argon2 needs it, for example for memory that the system may not have.
  const assembly: unknown = Reflect.get(globalThis, 'WebAssembly')
  Reflect.set(globalThis, 'WebAssembly', undefined)
  t.teardown(() => { Reflect.set(globalThis, 'WebAssembly', assembly) })
  const matches = await runPasswordTask({ kind: 'verify', password: PHRASE, hash: own, cost: 4, dummies: [dummy] })
  t.equal(matches, true)
  t.match((await warned).message, /could not equalise the time of a login/)
})

t.test('the costliest hash of each family counts', async t => {
  const django = (iterations: number): string => `pbkdf2_sha256$${iterations}$salt$${'A'.repeat(43)}`
  const argon2 = String(toDummy(FOREIGN[0]?.hash ?? ''))
  t.same(costliestOf([django(1000), argon2, django(3000), django(2000), 'nonsense']), [django(3000), argon2])
  t.same(costliestOf([]), [])
})

t.test('a worker does the work of every kind that is in use, whatever hash it verifies', async t => {
  const own = hashPassword(PHRASE, 4)
  const dummies = costliestOf(FOREIGN.map(({ hash }) => String(toDummy(hash))))
  t.equal(dummies.length, 6)
  for (const { hash, password = PHRASE } of [{ hash: own }, ...FOREIGN.slice(0, 2)]) {
    t.equal(await runPasswordTask({ kind: 'verify', password, hash, cost: 5, dummies }), true, hash)
    t.equal(await runPasswordTask({ kind: 'verify', password: 'wrong', hash, cost: 5, dummies }), false, hash)
  }
  t.equal(costOf(own), 4)
})
