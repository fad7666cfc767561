import { setImmediate as nextTurn, setTimeout as delay } from 'node:timers/promises'
import type { Kysely, SqliteDatabase, Transaction } from 'kysely'
import { noteCommit } from './changes.js'
import { isLocked, translate } from './errors.js'
import type { Store } from '../store.js'
import type { Tables } from '../tables.js'

/** Milliseconds after which a group takes no more: until it is committed, the event loop does nothing else. */
const LONGEST_GROUP = 2

/** Milliseconds between two tries while another process holds the file. */
const SHORTEST_PAUSE = 2
const LONGEST_PAUSE = 50

/** Undoes a group of which nothing is left: its pages were touched all the same, and a commit would write them and wait for the disk. */
const NOTHING_DONE = new Error('Nothing of the group is left to be committed')

/** A transaction that waits for its turn. */
interface Waiting {
  work: (trx: Transaction<Tables>) => Promise<unknown>
  /** Milliseconds of `performance.now()`. */
  deadline: number
  resolve: (value: unknown) => void
  reject: (error: unknown) => void
}

type Outcome =
  | { value: unknown }
  | { error: unknown }

/** The connection of better-sqlite3 that the groups are run on. */
export interface GroupConnection extends Pick<SqliteDatabase, 'prepare'> {
  readonly inTransaction: boolean
}

/**
 * Gives `Store.transaction`, which commits in groups: a commit waits for the disk, and one wait is enough for all that were asked for in the same
 * turn of the event loop. They run one after the other, in the order in which they were asked for, each inside a savepoint: one that throws is
 * undone alone. Nobody hears of an outcome, good or bad, before the commit: what one decides may rest on what those before it have written.
 * @param patience - milliseconds that each waits for another process to let go of the file.
 */
export function createGroups (db: Kysely<Tables>, connection: GroupConnection, { patience }: { patience: number }): Store['transaction'] {
  const queue: Waiting[] = []
  let isLed = false
  /** How many of the queue have begun, each of them in the open transaction. */
  let begun = 0
  const begin = connection.prepare('savepoint work')
  const undo = connection.prepare('rollback to work')
  const end = connection.prepare('release work')

  async function runApart (trx: Transaction<Tables>, work: Waiting['work']): Promise<Outcome> {
    begin.run([])
    try {
      const value = await work(trx)
      end.run([])
      return { value }
    } catch (error) {
      // SQLite itself has undone all of it, the others' too: a full disk, or one that fails.
      if (!connection.inTransaction) throw error
      undo.run([])
      end.run([])
      return { error: translate(error) }
    }
  }

  async function commitGroup (): Promise<Outcome[]> {
    const outcomes: Outcome[] = []
    begun = 0
    try {
      await db.transaction().execute(async trx => {
        const since = performance.now()
        for (const { work } of queue) {
          begun++
          outcomes.push(await runApart(trx, work))
          if (performance.now() - since >= LONGEST_GROUP) break
        }
        if (outcomes.every(outcome => 'error' in outcome)) throw NOTHING_DONE
      })
      noteCommit()
    } catch (error) {
      if (error !== NOTHING_DONE) throw error
    }
    return outcomes
  }

  function refuse (refused: Waiting[], error: unknown): void {
    for (const { reject } of refused) reject(translate(error))
  }

  function refuseOverdue (error: unknown): void {
    const now = performance.now()
    // The oldest come first.
    const patient = queue.findIndex(({ deadline }) => now <= deadline)
    refuse(queue.splice(0, patient === -1 ? queue.length : patient), error)
  }

  async function lead (): Promise<void> {
    let pause = SHORTEST_PAUSE
    while (queue.length > 0) {
      // What is read from sockets in this turn has all been asked for when the next one begins; and between two groups others get theirs.
      await nextTurn()
      try {
        const outcomes = await commitGroup()
        for (const [index, { resolve, reject }] of queue.splice(0, outcomes.length).entries()) {
          const outcome = outcomes[index] as Outcome
          if ('error' in outcome) reject(outcome.error)
          else resolve(outcome.value)
        }
        pause = SHORTEST_PAUSE
      } catch (error) {
        if (isLocked(error)) {
          refuseOverdue(error)
          await delay(pause)
          pause = Math.min(pause * 2, LONGEST_PAUSE)
        } else {
          // Nothing of the group is there. Where not even a transaction could be begun, it is the first one's bad luck.
          refuse(queue.splice(0, Math.max(begun, 1)), error)
        }
      }
    }
    isLed = false
  }

  return async function transaction<T> (work: (trx: Transaction<Tables>) => Promise<T>): Promise<T> {
    return await new Promise<T>((resolve, reject) => {
      queue.push({ work, deadline: performance.now() + patience, resolve: value => { resolve(value as T) }, reject })
      if (isLed) return
      isLed = true
      lead()
    })
  }
}
