import { setTimeout as delay } from 'node:timers/promises'
import t from 'tap'
import { createFollower } from '../../../lib/store/change-follower.js'
import type { Store } from '../../../lib/store/store.js'

/** A store whose `changed` says what the test wants, in turn, and false from then on. */
function storeThatSays (...answers: Array<boolean | undefined>): Store {
  const store: Partial<Store> = {
    changed: () => answers.length === 0 ? false : answers.shift(), poll: async () => {}, asOf: () => 0
  }
  return store as Store
}

t.test('a change that is heard of before there is something to load does not stop the loads of later', async t => {
  const follower = createFollower(storeThatSays(true, true))
  await follower.refresh()
  let loads = 0
  follower.follow(async () => { loads++ })
  await follower.refresh()
  t.equal(loads, 1)
})

t.test('what is noticed in the middle of a load is loaded before the promise resolves', async t => {
  const follower = createFollower(storeThatSays(true))
  let loads = 0
  follower.follow(async () => {
    loads++
    if (loads === 1) follower.notice()
  })
  await follower.refresh()
  t.equal(loads, 2)
  t.equal(follower.refresh(), undefined)
})

t.test('a store that cannot tell is asked; one that takes too long to answer is no answer', async t => {
  let loads = 0
  const load = async (): Promise<void> => { loads++ }
  const asked = createFollower(storeThatSays(undefined, true))
  asked.follow(load)
  await asked.refresh()
  t.equal(loads, 1)
  t.equal(asked.refresh(), undefined)

  const unchanged = createFollower(storeThatSays(undefined, false))
  unchanged.follow(load)
  await unchanged.refresh()
  t.equal(loads, 1, 'nothing to load')

  const slow = createFollower(storeThatSays(undefined, undefined))
  await t.rejects(
    slow.refresh() ?? Promise.resolve(),
    { code: 'store_unavailable', cause: { message: 'The store answers too slowly, so it is unknown which tokens are revoked' } }
  )
})

t.test('a load that fails is done again by the next call', async t => {
  const follower = createFollower(storeThatSays(true))
  let attempts = 0
  follower.follow(async () => { if (++attempts === 1) throw new Error('out of reach') })
  await t.rejects(follower.refresh() ?? Promise.resolve(), { code: 'store_unavailable', cause: { message: 'out of reach' } })
  await follower.refresh()
  t.equal(attempts, 2)
  t.equal(follower.refresh(), undefined)
})

t.test('a load that took longer than the bound is not believed: the store is asked, and what it tells is loaded too', async t => {
  let asked = 0
  const store = { ...storeThatSays(true, true), poll: async () => { asked++ } }
  const follower = createFollower(store, { bound: 20 })
  const takes = [50, 0]
  let loads = 0
  follower.follow(async () => {
    loads++
    await delay(takes.shift())
  })
  await follower.refresh()
  t.equal(asked, 1)
  t.equal(loads, 2)

  const hopeless = createFollower({ ...storeThatSays(true, true), poll: async () => {} }, { bound: 20 })
  hopeless.follow(async () => { await delay(50) })
  await t.rejects(
    hopeless.refresh() ?? Promise.resolve(),
    { code: 'store_unavailable', cause: { message: 'The store answers too slowly, so it is unknown which tokens are revoked' } }
  )
})
