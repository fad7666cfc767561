import t from 'tap'
import { createFairQueue } from '../../../lib/passwords/fair-queue.js'
import type { FairQueue } from '../../../lib/passwords/fair-queue.js'
import { createRandom } from '../support.js'

function takeAll (queue: FairQueue<string>): string[] {
  const items: string[] = []
  for (let item = queue.take(); item !== undefined; item = queue.take()) items.push(item)
  return items
}

t.test('origins take turns; of each, the oldest goes first', async t => {
  const queue = createFairQueue<string>(10)
  for (const item of ['a1', 'a2', 'a3', 'b1', 'c1', 'c2']) t.equal(queue.add(item[0] ?? '', item), undefined)
  t.equal(queue.size, 6)
  t.strictSame(takeAll(queue), ['a1', 'b1', 'c1', 'a2', 'c2', 'a3'])
  t.equal(queue.size, 0)
  t.equal(queue.take(), undefined)
})

t.test('in a full queue the newest of the longest lane makes room for those who have less', async t => {
  const queue = createFairQueue<string>(4)
  for (const item of ['a1', 'a2', 'a3', 'a4']) queue.add('a', item)
  t.equal(queue.add('a', 'a5'), 'a5', 'not for more of the same')
  t.equal(queue.add('b', 'b1'), 'a4')
  t.equal(queue.add('b', 'b2'), 'a3')
  t.equal(queue.add('b', 'b3'), 'b3', 'not where it would only change who has more')
  t.equal(queue.add('c', 'c1'), 'a2')
  t.equal(queue.add('d', 'd1'), 'b2')
  t.equal(queue.add('e', 'e1'), 'e1', 'not where everybody has one')
  t.equal(queue.size, 4)
  t.strictSame(takeAll(queue), ['a1', 'b1', 'c1', 'd1'])
})

t.test('a queue without room takes nothing, and one that is cleared gives all', async t => {
  t.equal(createFairQueue<string>(0).add('a', 'a1'), 'a1')
  const queue = createFairQueue<string>(3)
  queue.add('a', 'a1')
  queue.add('b', 'b1')
  t.strictSame(queue.clear(), ['a1', 'b1'])
  t.equal(queue.size, 0)
  t.strictSame(takeAll(queue), [])
})

t.test('whatever one origin does, another has its share: nothing is lost, nothing is there twice', async t => {
  const random = createRandom(4)
  for (let round = 0; round < 200; round++) {
    const max = 1 + random.below(8)
    const queue = createFairQueue<string>(max)
    const inside = new Set<string>()
    for (let step = 0; step < 100; step++) {
      if (random.below(3) === 0) {
        const taken = queue.take()
        if (taken !== undefined && !inside.delete(taken)) t.fail(`${taken} was not there`)
      } else {
        const origin = random.pick(['a', 'a', 'a', 'a', 'b', 'c'])
        const item = `${origin}${step}`
        inside.add(item)
        const dropped = queue.add(origin, item)
        if (dropped !== undefined && !inside.delete(dropped)) t.fail(`${dropped} was not there`)
        const shares = ['a', 'b', 'c'].map(name => [...inside].filter(one => one.startsWith(name)).length)
        if (dropped === item && (shares[['a', 'b', 'c'].indexOf(origin)] ?? 0) + 1 < Math.max(...shares)) {
          t.fail(
          `${origin} was refused with ${shares.join()}`
          )
        }
      }
      if (queue.size !== inside.size || queue.size > max) t.fail(`${queue.size} of ${max}`)
    }
  }
})
