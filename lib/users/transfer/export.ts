import type { Selectable } from 'kysely'
import type { Actor } from '../../../schemas/events.js'
import type { UserRecord } from '../../../schemas/users.js'
import { HOST } from '../../ledger/events.js'
import type { Ledger } from '../../ledger/ledger.js'
import { parseRoles } from '../../identity/roles.js'
import { parseScope } from '../../identity/scopes.js'
import { toMoment, toText } from '../../store/columns.js'
import type { Store } from '../../store/store.js'
import type { UsersTable } from '../../store/tables.js'
import { selectUsers } from '../list.js'

const PAGE = 1_000

/**
 * Makes `Users.exportAll`. Each page is a read of its own, so the export blocks no other work. As a whole it does not
 * show the users at one moment.
 */
export function createUserExport ({ store, ledger }: { store: Store, ledger: Ledger }) {
  return async function * exportAll (by: Actor = HOST): AsyncGenerator<UserRecord[]> {
    await ledger.write([], ({ record }) => record({ type: 'users_exported', actor: by }))
    for (let afterKey: string | undefined; ;) {
      const rows = await store.read(db => selectUsers(db, { afterKey, limit: PAGE }).execute())
      if (rows.length > 0) yield rows.map(toRecord)
      afterKey = rows.at(-1)?.username_key
      if (rows.length < PAGE) return
    }
  }
}

function toRecord (row: Selectable<UsersTable>): UserRecord {
  return {
    id: row.id,
    username: toText(row.username),
    password_hash: row.password_hash,
    scopes: parseScope(row.scope),
    roles: parseRoles(row.roles),
    disabled: row.disabled_at !== null,
    created_at: new Date(toMoment(row.created_at)).toISOString()
  }
}
