import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import t from 'tap'
import type { Test } from 'tap'
import { followChanges } from '../../../../lib/store/postgres/changes.js'
import { readHosts } from '../../../../lib/store/postgres/hosts.js'
import { createTimelines } from '../../../../lib/store/postgres/timeline.js'
import type { ChangesRow } from '../../../../lib/store/postgres/timeline.js'

// What the answers of the server mean, where there is no other connection to hear anything on.

/** The URL of a port on which nobody listens. */
async function findSilence (): Promise<string> {
  const server = createServer()
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  await new Promise(resolve => server.close(resolve))
  return `postgres://nobody@127.0.0.1:${port}/nothing`
}

/** An answer of a server whose clock agrees with ours. */
function answer (row: Omit<ChangesRow, 'time'>): ChangesRow {
  return { ...row, time: Date.now() }
}

async function follow (t: Test): Promise<{
  changes: ReturnType<typeof followChanges>, answers: Array<ChangesRow | Promise<ChangesRow>>, dropped: () => number
}> {
  let dropped = 0
  const answers: Array<ChangesRow | Promise<ChangesRow>> = []
  const changes = followChanges({
    servers: {
      hosts: readHosts(await findSilence()), timelines: createTimelines({ log () {}, acceptLostCommits: true })
    },
    schema: 'public',
    bound: 60_000,
    first: answer({ number: null, standby: false, started: 1_000 }),
    log () {},
    query: async () => await answers.shift(),
    onAnotherServer () { dropped++ }
  })
  t.teardown(() => changes.close())
  return { changes, answers, dropped: () => dropped }
}

t.test('the same number of another server is another commit', async t => {
  const { changes, answers } = await follow(t)
  t.equal(changes.changed(), undefined, 'nothing is known before there was an answer')
  answers.push(answer({ number: 6, standby: false, started: 1_000 }))
  await changes.poll()
  t.equal(changes.changed(), true)
  t.equal(changes.changed(), false)
  const epoch = changes.epoch()
  answers.push(answer({ number: 6, standby: false, started: 1_000 }))
  await changes.poll()
  t.equal(changes.changed(), false)
  t.equal(changes.epoch(), epoch)

  let told = 0
  changes.onChange(() => { told++ })
  answers.push(answer({ number: 6, standby: false, started: 2_000 }))
  await changes.poll()
  t.equal(told, 1)
  t.equal(changes.changed(), true, 'a server that took over without the last commit has given its number to another')
  t.ok(changes.epoch() > epoch)
  t.equal(changes.changed(), false)
})

t.test('a connection that reaches another server makes all that is known a question again, and is the only kind that is used from then on', async t => {
  const { changes, answers, dropped } = await follow(t)
  answers.push(answer({ number: 6, standby: false, started: 1_000 }))
  await changes.poll()
  t.equal(changes.changed(), true)
  changes.meet(1_000)
  t.equal(changes.changed(), false, 'the same one')
  t.equal(dropped(), 0)
  changes.meet(2_000)
  t.equal(dropped(), 1)
  t.equal(changes.changed(), true)
  t.equal(changes.changed(), undefined, 'what the other one has confirmed says nothing of this one')
  answers.push(answer({ number: 6, standby: false, started: 2_000 }))
  await changes.poll()
  t.equal(dropped(), 1)
  t.equal(changes.changed(), false)
})

t.test('a number that goes back on one server is of other commits too', async t => {
  const { changes, answers } = await follow(t)
  for (const number of [6, 5]) answers.push(answer({ number, standby: false, started: 1_000 }))
  await changes.poll()
  const epoch = changes.epoch()
  t.equal(changes.changed(), true)
  await changes.poll()
  t.equal(changes.changed(), true)
  t.ok(changes.epoch() > epoch)
})

t.test('a standby is not believed, whatever it says', async t => {
  const { changes, answers } = await follow(t)
  answers.push(answer({ number: 6, standby: true, started: 1_000 }))
  await t.rejects(changes.poll(), { message: 'The database is a standby, so it does not know the latest commits' })
  t.equal(changes.changed(), undefined)
})

t.test('there is nothing yet where nothing was ever revoked; nothing is known where there is no answer, and after the end', async t => {
  const { changes, answers } = await follow(t)
  answers.push(answer({ number: null, standby: false, started: 1_000 }))
  await changes.poll()
  changes.changed()
  t.equal(changes.changed(), false)
  t.ok(performance.now() - changes.asOf() < 60_000)
  answers.push(Promise.reject(new Error('it is gone')))
  await t.rejects(changes.poll(), { message: 'it is gone' })
  await changes.close()
  t.equal(changes.changed(), undefined)
  answers.push(answer({ number: null, standby: false, started: 1_000 }))
  await changes.poll()
  t.equal(changes.changed(), undefined)
})
