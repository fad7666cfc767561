import t from 'tap'
import type { Test } from 'tap'
import { createStatusReferences, LIST_SIZE } from '../../../lib/status-lists/references.js'
import type { StatusReferences } from '../../../lib/status-lists/references.js'
import type { Grant } from '../../../lib/sessions/issued.js'
import { createWorld, DAY, HOUR } from '../support.js'
import type { World, WorldOptions } from '../support.js'

const BASE = 'https://auth.example.com/auth'

/** Numbers in this order, then the last one for ever. */
function picksOf (...numbers: number[]): (below: number) => number {
  return below => {
    if (below !== LIST_SIZE) throw new Error(`a number below ${below} was asked for`)
    return (numbers.length > 1 ? numbers.shift() : numbers[0]) ?? 0
  }
}

async function build (
  t: Test, { pick, ...options }: WorldOptions & { pick?: (below: number) => number } = {}
): Promise<World & { start (): Promise<Grant> }> {
  const world = await createWorld(t, { status: createStatusReferences({ base: BASE, pick }), ...options })
  const alice = await world.addUser()
  return { ...world, start: () => world.sessions.start(alice) }
}

const placeOf = (grant: Grant): { idx: number, uri: string } => {
  if (grant.status === undefined) throw new Error('The grant has no status')
  return grant.status.status_list
}

const listsOf = ({ store }: World): Promise<Array<{ id: string, given: number, open: number | null }>> =>
  store.read(db => db.selectFrom('latchkey_status_lists').select(['id', 'given', 'open']).orderBy('created_at').execute())

const fillUp = ({ store }: World, given: number): Promise<unknown> => store.transaction(
  trx => trx.updateTable('latchkey_status_lists').set({ given }).execute()
)

t.test('each session gets a place of its own, at random, in one list for all', async t => {
  const world = await build(t)
  const places = []
  for (let i = 0; i < 50; i++) places.push(placeOf(await world.start()))
  t.equal(new Set(places.map(({ uri }) => uri)).size, 1)
  t.match(places[0]?.uri, /^https:\/\/auth\.example\.com\/auth\/status-lists\/[0-9a-f-]{36}$/)
  t.equal(new Set(places.map(({ idx }) => idx)).size, 50)
  t.ok(places.every(({ idx }) => Number.isInteger(idx) && idx >= 0 && idx < LIST_SIZE))
  t.not(
    places.map(({ idx }) => idx).sort((a, b) => a - b).join(), places.map(({ idx }) => idx).join(),
    'not one after the other'
  )
  t.ok(places.some(({ idx }) => idx > LIST_SIZE / 2), 'in all of the list')
  t.match(await listsOf(world), [{ given: 50, open: 1 }])
})

t.test('all tokens of a session have its place, after each refresh and each retry', async t => {
  const world = await build(t)
  const grant = await world.start()
  const next = await world.sessions.refresh(grant.refreshToken)
  const again = await world.sessions.refresh(grant.refreshToken)
  for (const { status } of [next, again]) t.strictSame(status, grant.status)
  t.match(await listsOf(world), [{ given: 1 }])
})

t.test('a place that is taken, by a live session or an ended one, is not given again', async t => {
  const world = await build(t, { pick: picksOf(7, 7, 7, 9, 7, 9, 11) })
  const first = await world.start()
  t.equal(placeOf(first).idx, 7)
  await world.sessions.end(first.user.id, first.sessionId)
  t.equal(placeOf(await world.start()).idx, 9)
  t.equal(placeOf(await world.start()).idx, 11)
})

t.test('numbers that are not random end in an error, and in no session', async t => {
  const world = await build(t, { pick: picksOf(7) })
  const { user } = await world.start()
  await t.rejects(world.start(), /No free index was found/)
  t.equal((await world.sessions.list(user.id)).length, 1)
  t.match(await listsOf(world), [{ given: 1, open: 1 }])
})

t.test('a list that is half full takes no more: the next session begins another one', async t => {
  const world = await build(t)
  await world.start()
  await fillUp(world, LIST_SIZE / 2 - 1)
  const last = placeOf(await world.start())
  t.match(await listsOf(world), [{ given: LIST_SIZE / 2, open: null }])
  world.wall.move(1)
  const next = placeOf(await world.start())
  t.not(next.uri, last.uri)
  t.match(await listsOf(world), [{ open: null }, { given: 1, open: 1 }])
})

t.test('once sessions of a list are purged it takes no more, so that no place is given twice; when the last one is, it goes', async t => {
  const world = await build(t, { refreshIdleTtl: DAY, pick: picksOf(1, 2, 1, 3) })
  const first = placeOf(await world.start())
  world.wall.move(DAY + 2 * HOUR)
  const second = placeOf(await world.start())
  t.equal(second.uri, first.uri)
  t.equal(await world.sessions.purge(100, world.wall()), false)
  t.match(await listsOf(world), [{ given: 2, open: 1 }], 'nothing was old enough')

  world.wall.move(DAY)
  t.equal(await world.sessions.purge(1, world.wall()), true, 'there may be more')
  t.equal(await world.sessions.purge(1, world.wall()), false)
  t.match(await listsOf(world), [{ open: null }])
  const third = placeOf(await world.start())
  t.equal(third.idx, 1, 'the place of the first one')
  t.not(third.uri, first.uri, 'in another list')

  world.wall.move(DAY + 2 * HOUR)
  await world.sessions.purge(100, world.wall())
  const left = await listsOf(world)
  t.equal(left.length, 1, 'the list of the two that are purged is gone')
  t.ok(third.uri.endsWith(left[0]?.id ?? 'none'))
})

t.test('a session that began before status lists were switched on gets its place at the next refresh', async t => {
  const world = await createWorld(t)
  const alice = await world.addUser()
  const old = await world.sessions.start(alice)
  t.equal(old.status, undefined)

  const switchedOn = await createWorld(
    t, { store: world.store, wall: world.wall, status: createStatusReferences({ base: BASE }) }
  )
  const next = await switchedOn.sessions.refresh(old.refreshToken)
  t.match(placeOf(next), { uri: /^https:/ })
  t.strictSame((await switchedOn.sessions.refresh(old.refreshToken)).status, next.status, 'a retry has the same')
  t.strictSame((await switchedOn.sessions.refresh(next.refreshToken)).status, next.status)

  const switchedOff = await createWorld(t, { store: world.store, wall: world.wall })
  t.equal((await switchedOff.sessions.start(alice)).status, undefined)
})

t.test('two at once on one file get two places', async t => {
  const world = await build(t, { pick: picksOf(5, 5, 6) })
  const grants = await Promise.all([world.start(), world.start()])
  t.strictSame(grants.map(grant => placeOf(grant).idx).sort(), [5, 6])
})

t.test('of a removed user whose session a list speaks of there is nothing left but that it ended', async t => {
  const world = await build(t)
  const { user, sessionId } = await world.start()
  await world.users.remove(user.id)
  const rows = await world.store.read(db => db.selectFrom('latchkey_sessions').selectAll().execute())
  t.match(
    rows,
    [
      {
        id: sessionId,
        user_id: '',
        nonce: '',
        user_agent: null,
        address: null,
        account: null,
        network: null,
        status_index: Number,
        ended_at: Number
      }
    ]
  )
})

t.test('without status lists the rows go with the user', async t => {
  const world = await build(t, { status: undefined as StatusReferences | undefined })
  const { user } = await world.start()
  await world.users.remove(user.id)
  t.strictSame(await world.store.read(db => db.selectFrom('latchkey_sessions').selectAll().execute()), [])
})
