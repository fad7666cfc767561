import { setImmediate as nextTurn, setTimeout as delay } from 'node:timers/promises'
import type { Kysely, SqliteDatabase, Transaction } from 'kysely'
import { noteCommit } from './changes.js'
import { isLocked, translate } from './errors.js'
import type { Store } from '../store.js'
import type { Tables } from '../tables.js'

/** Milliseconds after which a group accepts no more transactions. The event loop does nothing else until its commit. */
const LONGEST_GROUP = 2

/** Milliseconds between two attempts while another process has locked the file. */
const SHORTEST_PAUSE = 2
const LONGEST_PAUSE = 50

/**
 * Rolls back a group in which every transaction has failed. They have still touched pages, and a commit would write
 * those and wait for the disk.
 */
const NOTHING_DONE = new Error('Every transaction of the group has failed')

/** A transaction that waits for its turn. */
interface Waiting {
  work: (trx: Transaction<Tables>, now: number) => Promise<unknown>
  /** Milliseconds of `performance.now()`. */
  deadline: number
  resolve: (value: unknown) => void
  reject: (error: unknown) => void
}

type Outcome =
  | { value: unknown }
  | { error: unknown }

/** The connection of better-sqlite3 on which the groups run. */
export interface GroupConnection extends Pick<SqliteDatabase, 'prepare'> {
  readonly inTransaction: boolean
}

/**
 * Creates `Store.transaction`, which commits in groups. A commit waits for the disk, and one wait is enough for all
 * transactions that were requested in the same turn of the event loop. They run one after the other, in the order of
 * the requests. Each runs in a savepoint, so one that throws is rolled back alone. No caller gets a result or an error
 * before the commit, because a transaction may decide on the basis of what the previous ones have written.
 * @param options.patience - milliseconds for which each waits until another process unlocks the file.
 * @param options.now - returns the time of a transaction.
 */
export function createGroups (
  db: Kysely<Tables>,
  connection: GroupConnection,
  { patience, now }: { patience: number, now: () => number }
): Store['transaction'] {
  const queue: Waiting[] = []
  let isLed = false
  /** How many transactions of the queue have begun. They all run inside the open transaction of the group. */
  let begun = 0
  const begin = connection.prepare('savepoint work')
  const undo = connection.prepare('rollback to work')
  const end = connection.prepare('release work')

  async function runApart (trx: Transaction<Tables>, work: Waiting['work']): Promise<Outcome> {
    begin.run([])
    try {
      const value = await work(trx, now())
      end.run([])
      return { value }
    } catch (error) {
      // SQLite itself has rolled back the whole group, because the disk is full or has failed.
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
    // The queue is in the order of the requests, so the deadlines are too.
    const patient = queue.findIndex(({ deadline }) => now <= deadline)
    refuse(queue.splice(0, patient === -1 ? queue.length : patient), error)
  }

  async function lead (): Promise<void> {
    let pause = SHORTEST_PAUSE
    while (queue.length > 0) {
      // By the next turn, every request that was read from a socket in this turn has asked for its transaction. Between
      // two groups, the event loop also gets time for other work.
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
          // Nothing of the group was committed. If not even its transaction could begin, the first caller gets the
          // error.
          refuse(queue.splice(0, Math.max(begun, 1)), error)
        }
      }
    }
    isLed = false
  }

  return async function transaction<T> (work: (trx: Transaction<Tables>, now: number) => Promise<T>): Promise<T> {
    return await new Promise<T>((resolve, reject) => {
      queue.push({ work, deadline: performance.now() + patience, resolve: value => { resolve(value as T) }, reject })
      if (isLed) return
      isLed = true
      lead()
    })
  }
}
