import t from 'tap'
import { createHalfSipHash } from '../../../lib/revocation/half-siphash.js'

const bytes = (count: number): Buffer => Buffer.from(Array.from({ length: count }, (_, at) => at))
const words = Int32Array.from([0, 4, 8, 12], at => bytes(16).readInt32LE(at))

t.test(
  'HalfSipHash-1-3: the published value of the bytes 0 to 15 under the key 0 to 7 (Linux, lib/tests/siphash_kunit.c)',
  async t => {
    t.equal(createHalfSipHash(bytes(8))(words, 0) >>> 0, 0x8b31d501)
  }
)

t.test('the words are read from the offset on, and each half of the seed counts', async t => {
  t.equal(createHalfSipHash(bytes(8))(Int32Array.of(-1, ...words, -1), 1) >>> 0, 0x8b31d501)
  const seeds = [bytes(8), Buffer.from([...bytes(7), 0]), Buffer.from([1, ...bytes(8).subarray(1)])]
  t.equal(new Set(seeds.map(seed => createHalfSipHash(seed)(words, 0))).size, seeds.length)
})

t.test('keys that cancel out under sums of words times odd factors do not collide', async t => {
  const hash = createHalfSipHash(bytes(8))
  const top = -0x80000000
  const keys = [
    [0, 0, 0, 0],
    [top, top, 0, 0],
    [0, top, top, 0],
    [0, 0, top, top],
    [top, top, top, top],
    [top, 0, 0, top]
  ]
  t.equal(new Set(keys.map(key => hash(Int32Array.from(key), 0))).size, keys.length)
})
