import { createStatement } from './store/statement.js'
import type { SessionRow } from './session-standing.js'
import type { Queryable } from './store/tables.js'

const selectSession = createStatement((db, { id }: { id: string }) => db.selectFrom('sessions').selectAll().where('id', '=', id))

/** The session of this id; it may be over. */
export async function findSession (db: Queryable, id: string): Promise<SessionRow | undefined> {
  return (await selectSession(db, { id })).rows[0]
}

/** What a refresh changes of a session. */
export type Rotation = Pick<SessionRow, 'generation' | 'rotated_at' | 'last_used_at' | 'idle_expires_at'>

const updateSession = createStatement((db, { id, current, generation, rotated_at: rotatedAt, last_used_at: lastUsedAt, idle_expires_at: idleExpiresAt }: Rotation & { id: string, current: number }) => db.updateTable('sessions')
  .set({ generation, rotated_at: rotatedAt, last_used_at: lastUsedAt, idle_expires_at: idleExpiresAt })
  .where('id', '=', id).where('generation', '=', current).where('ended_at', 'is', null))

/** Gives a session its next generation; tells whether it was there, not ended, and at the generation `current`. */
export async function rotateSession (db: Queryable, { id, generation: current }: SessionRow, rotation: Rotation): Promise<boolean> {
  return (await updateSession(db, { ...rotation, id, current })).numAffectedRows === 1n
}
