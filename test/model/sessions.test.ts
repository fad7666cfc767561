import fc from 'fast-check'
import t from 'tap'
import { found, setups, steps } from './operations.js'
import { prepareDatabases } from './machines.js'
import { SEED } from './seed.js'
import { runCase } from './world.js'

// Runs random steps of clients, administrators, clocks and machines against two processes on one database file, and
// compares each answer with test/model/reference.ts. It shrinks a failing case and prints it with its seed.
//   LATCHKEY_TEST_SEED=random LATCHKEY_TEST_RUNS=2000 node dist/test/model/sessions.test.js
// The steps follow from the seed; how the machine interleaves what is done at once does not.

const RUNS = Number(process.env.LATCHKEY_TEST_RUNS ?? 15)

t.setTimeout(300_000 + RUNS * 2_000)

t.test(`logins, refreshes, revocations, clocks and restarts in any order are as the model has them (seed ${SEED}, ${RUNS} runs)`, async t => {
  const directory = t.testdir({})
  const createDatabase = await prepareDatabases(directory)
  const details = await fc.check(fc.asyncProperty(setups, fc.array(
    steps, { maxLength: 40, size: 'max' }
  ), async (setup, steps) => {
    await runCase(createDatabase, directory, setup, steps)
  }), { seed: SEED, numRuns: RUNS + found.length, examples: found })
  if (details.failed) {
    t.fail(String(await fc.asyncDefaultReportMessage(details)), { diff: String(details.errorInstance) })
  }
  t.equal(details.numRuns, RUNS + found.length)
})
