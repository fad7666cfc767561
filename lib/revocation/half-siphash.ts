/**
 * Creates HalfSipHash-1-3 for messages of four 32-bit words. It selects the slot of a key in a hash table. Without the
 * seed, an attacker cannot choose keys that all select the same slot. A sum of words times random factors would cost
 * less, but keys that differ in the top bits of two words collide under every choice of odd factors. It is good for
 * hash tables only, and authenticates nothing. https://www.aumasson.jp/siphash/siphash.pdf;
 * https://github.com/veorq/SipHash (halfsiphash.c)
 * @param seed - eight random bytes.
 */
export function createHalfSipHash (seed: Buffer): (words: Int32Array, offset: number) => number {
  const low = seed.readInt32LE(0)
  const high = seed.readInt32LE(4)

  /** Returns a signed 32-bit number for the four words from `offset` on. */
  return function hash (words, offset) {
    let a = low
    let b = high
    let c = low ^ 0x6c796765
    let d = high ^ 0x74656462
    // Four words, the length of the message, and three empty rounds to finish. It is one loop, because a function that
    // returned four numbers would have to allocate them.
    for (let round = 0; round < 8; round++) {
      const word = round < 4 ? words[offset + round] as number : round === 4 ? 16 << 24 : 0
      if (round === 5) c ^= 0xff
      d ^= word
      a = (a + b) | 0
      b = (b << 5 | b >>> 27) ^ a
      a = a << 16 | a >>> 16
      c = (c + d) | 0
      d = (d << 8 | d >>> 24) ^ c
      a = (a + d) | 0
      d = (d << 7 | d >>> 25) ^ a
      c = (c + b) | 0
      b = (b << 13 | b >>> 19) ^ c
      c = c << 16 | c >>> 16
      a ^= word
    }
    return b ^ d
  }
}
