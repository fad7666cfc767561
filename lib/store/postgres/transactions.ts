import { setTimeout as delay } from 'node:timers/promises'
import pg from 'pg'
import type { Transaction } from 'kysely'
import { CompiledQuery } from '../kysely.js'
import type { Kysely } from '../kysely.js'
import type { Lock } from '../lock.js'
import type { OpenOptions, Store } from '../store.js'
import type { Tables } from '../tables.js'
import { lockAll } from './locks.js'
import { SERVER_TIME } from './time.js'

/** How often a transaction may begin again after PostgreSQL ended it in favour of another. */
const MOST_TRIES = 5

/** PostgreSQL's codes for such an end: a deadlock, and a serialization failure. */
const CONFLICTS = ['40P01', '40001']

/** Two transactions have taken the same index in a status list. */
const STATUS_INDEX = 'latchkey_sessions_status'

/**
 * Creates `Store.transaction`. BEGIN, all locks and the time take one round trip. The isolation level is fixed, however
 * the server is configured: each statement sees what was committed before it, and so before the locks were obtained.
 */
export function createTransactions (
  db: Kysely<Tables>, { schema, now }: { schema: string } & Pick<OpenOptions, 'now'>
): Store['transaction'] {
  async function begin (trx: Transaction<Tables>, locks: readonly Lock[]): Promise<number> {
    const statements = [
      'begin isolation level read committed', ...lockAll(schema, locks), `select ${SERVER_TIME} as time`
    ]
    const { rows: [row] } = await trx.executeQuery<{ time: number }>(CompiledQuery.raw(statements.join('; ')))
    return now?.() ?? (row as { time: number }).time
  }

  return async function transaction (work, locks = []) {
    for (let tries = 1; ; tries++) {
      try {
        return await db.transaction().setIsolationLevel('read committed').execute(async trx => {
          const now = await begin(trx, locks)
          const begun = performance.now()
          const result = await work(trx, now)
          // The next transaction with the same locks has a later time, in milliseconds.
          if (performance.now() - begun < 1) await delay(1)
          return result
        })
      } catch (error) {
        if (tries === MOST_TRIES || !isConflict(error)) throw error
        await delay(Math.random() * 10 * tries)
      }
    }
  }
}

function isConflict (error: unknown): boolean {
  const cause = error instanceof pg.DatabaseError ? error : (error as Error).cause
  return cause instanceof pg.DatabaseError &&
    (CONFLICTS.includes(cause.code ?? '') || cause.constraint === STATUS_INDEX)
}
