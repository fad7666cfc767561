import t from 'tap'
import { createTokenCache } from '../../../lib/tokens/cache.js'

t.test('bounded: never more than twice the half, and the half last used are always there', async t => {
  for (const half of [1, 2, 3, 10]) {
    const cache = createTokenCache<number>(half)
    const uses: string[] = []
    let seed = half
    for (let step = 0; step < 2_000; step++) {
      seed = (seed * 1_103_515_245 + 12_345) % 2 ** 31
      const key = `k${seed % (half * 5)}`
      if (cache.get(key) === undefined) cache.set(key, step)
      uses.push(key)
      const last = [...new Set(uses.slice().reverse())].slice(0, half)
      // Looking moves what is looked at, so only now and then.
      if (step % 50 === 0) {
        for (const used of last.reverse()) {
          if (cache.get(used) === undefined) {
            t.fail(
        `half ${half}, step ${step}: ${used} was forgotten`
            )
          }
        }
      }
      if (step % 50 === 0) uses.push(...last)
    }
    let held = 0
    const frozen = createTokenCache<number>(half)
    for (let i = 0; i < 1_000; i++) frozen.set(`n${i}`, i)
    for (let i = 999; i >= 0; i--) if (frozen.get(`n${i}`) !== undefined) held++
    t.ok(held <= 2 * half, `${held} of ${half} are held`)
    t.ok(held >= half, `${held} of ${half} are held`)
  }
})

t.test('what is used lives, what is not goes', async t => {
  const cache = createTokenCache<string>(3)
  cache.set('a', 'A')
  for (let i = 0; i < 100; i++) {
    cache.set(`x${i}`, '')
    t.equal(cache.get('a'), 'A')
  }
  t.equal(cache.get('x0'), undefined)
  cache.set('a', 'B')
  t.equal(cache.get('a'), 'B', 'the newer value')
})

t.test('a newer value is never hidden by an older one', async t => {
  const cache = createTokenCache<number>(2)
  cache.set('a', 1)
  cache.set('b', 1)
  cache.set('a', 2)
  t.equal(cache.get('a'), 2)
  cache.set('c', 1)
  t.equal(cache.get('a'), 2)
  cache.set('d', 1)
  t.ok([2, undefined].includes(cache.get('a')))
})

t.test('clear forgets all; names that objects have are none', async t => {
  const cache = createTokenCache<number>(2)
  for (const key of ['a', 'b', 'c']) cache.set(key, 1)
  cache.clear()
  for (const key of ['a', 'b', 'c', '__proto__', 'constructor']) t.equal(cache.get(key), undefined)
})

t.test('a token that ends like another is another', async t => {
  const cache = createTokenCache<string>(3)
  const end = 's'.repeat(86)
  cache.set(`a.b.${end}`, 'theirs')
  t.equal(cache.get(`a.c.${end}`), undefined)
  t.equal(cache.get(`a.b.${end}`), 'theirs')
  for (const filler of ['x', 'y', 'z']) cache.set(filler, '')
  t.equal(cache.get(`a.c.${end}`), undefined, 'nor when it has grown old')
  t.equal(cache.get(`a.b.${end}`), 'theirs')
})
