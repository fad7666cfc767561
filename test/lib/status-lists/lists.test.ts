import t from 'tap'
import type { Test } from 'tap'
import type { Keyring } from '../../../lib/keys/keyring.js'
import { decodeStatusList } from '../../../lib/status-lists/codec.js'
import type { EncodedStatusList } from '../../../lib/status-lists/codec.js'
import { createStatusLists } from '../../../lib/status-lists/lists.js'
import type { StatusLists } from '../../../lib/status-lists/lists.js'
import { createStatusReferences, LIST_SIZE } from '../../../lib/status-lists/references.js'
import type { Grant } from '../../../lib/sessions/issued.js'
import type { Store } from '../../../lib/store/store.js'
import { createGate, createWorld, openStore } from '../support.js'
import type { World } from '../support.js'
import { revokeToken } from '../../revoke-token.js'

const BASE = 'https://auth.example.com'

interface Lists {
  world: World
  lists: StatusLists
  signatures: () => number
  start (): Promise<Grant>
}

/** Lists over a store, "signed" as JSON. `wrap` stands between the lists and the store. */
async function build (t: Test, wrap: (store: Store) => Store = store => store): Promise<Lists> {
  const store = await openStore(t)
  const world = await createWorld(t, { store, status: createStatusReferences({ base: BASE }) })
  let signatures = 0
  const key = {
    kid: 'kid',
    signStatusList (claims: object) {
      signatures++
      return JSON.stringify(claims)
    }
  }
  const keyring = { signer: () => key } as unknown as Keyring
  const alice = await world.addUser()
  return {
    world,
    lists: createStatusLists({
      store: wrap(store),
      clock: world.clock,
      follower: world.follower,
      revocations: world.revocations,
      keyring,
      base: BASE
    }),
    signatures: () => signatures,
    start: () => world.sessions.start(alice)
  }
}

const listOf = ({ status }: Grant): string => status?.status_list.uri.split('/').at(-1) ?? 'none'

async function statusOf (lists: StatusLists, grant: Grant): Promise<number | undefined> {
  const list = await lists.read(listOf(grant))
  if (list === undefined) return undefined
  const claims = JSON.parse(list.token) as { status_list: EncodedStatusList }
  return decodeStatusList(claims.status_list, LIST_SIZE).get(grant.status?.status_list.idx ?? -1)
}

t.test('who asks after an end is not answered with a list that was being read before it', async t => {
  const gate = createGate()
  const begun = createGate()
  let reads = -Infinity
  const { world, lists, start } = await build(t, store => ({
    ...store,
    async read (work) {
      const result = await store.read(work)
      // The first look is whether there is such a list, the second what has ended. It has read that, and is slow to say
      // it.
      if (++reads !== 2) return result
      begun.open()
      await gate.pass()
      return result
    }
  }))
  const grant = await start()
  t.equal(await statusOf(lists, grant), 0)
  const other = await start()
  await world.sessions.end(other.user.id, other.sessionId)

  reads = 0
  const early = statusOf(lists, grant)
  await begun.pass()
  await world.sessions.end(grant.user.id, grant.sessionId)
  const late = statusOf(lists, grant)
  gate.open()
  await early
  t.equal(await late, 1)
})

t.test('a store that fails while a list is made fails all who wait, and nobody after that', async t => {
  let isBroken = false
  const { lists, start } = await build(t, store => ({
    ...store,
    read: work => isBroken ? Promise.reject(new Error('the disk is gone')) : store.read(work)
  }))
  const grant = await start()
  isBroken = true
  for (const outcome of await Promise.allSettled([statusOf(lists, grant), statusOf(lists, grant)])) {
    t.match(
      outcome, { status: 'rejected', reason: { message: 'the disk is gone' } }
    )
  }
  isBroken = false
  t.equal(await statusOf(lists, grant), 0)
})

t.test('a thousand questions at once are one signature, and so are a thousand later ones', async t => {
  const { lists, start, signatures } = await build(t)
  const grant = await start()
  await Promise.all(Array.from({ length: 1_000 }, () => lists.read(listOf(grant))))
  for (let i = 0; i < 1_000; i++) await lists.read(listOf(grant))
  t.equal(signatures(), 1)
})

t.test('of made-up names nothing is held, and of real ones no more than 256 lists; what is read anew is the same', async t => {
  const { world, lists, start, signatures } = await build(t)
  const grant = await start()
  await world.sessions.end(grant.user.id, grant.sessionId)
  t.equal(await statusOf(lists, grant), 1)
  t.equal(signatures(), 1)
  for (let i = 0; i < 300; i++) t.equal(await lists.read(`made up ${i}`), undefined)
  t.equal(await statusOf(lists, grant), 1)
  t.equal(signatures(), 1, 'still held')

  const ids = Array.from({ length: 256 }, (_, index) => `list ${index}`)
  await world.store.transaction(
    trx => trx.insertInto('latchkey_status_lists').values(ids.map(id => ({ id, created_at: 1, given: 1, open: null }))).execute()
  )
  for (const id of ids) t.match(await lists.read(id), { token: String })
  t.equal(signatures(), 257)
  t.equal(await statusOf(lists, grant), 1)
  t.equal(signatures(), 258, 'made anew, with what had ended')
})

t.test('on another server all is read again: it may know of an end that is older than the last one that was read', async t => {
  let epoch = 0
  const { world, lists, start } = await build(t, store => ({ ...store, epoch: () => epoch }))
  const { store, wall } = world
  const early = await start()
  const last = await start()
  wall.move(1_000)
  await world.sessions.end(last.user.id, last.sessionId)
  t.equal(await statusOf(lists, last), 1)
  await store.transaction(
    trx => trx.updateTable('latchkey_sessions').set({ ended_at: wall() - 1_000 }).where('id', '=', early.sessionId).execute()
  )
  epoch++
  await revokeToken(world.revocations, 'some token', wall() + 60_000)
  t.equal(await statusOf(lists, early), 1)
  t.equal(await statusOf(lists, last), 1)
})
