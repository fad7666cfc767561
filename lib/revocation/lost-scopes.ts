import type { RoleDefinitions } from '../identity/roles.js'
import { formatScope, parseScope } from '../identity/scopes.js'
import { SYSTEM } from '../ledger/events.js'
import { exclusive, shared } from '../store/lock.js'
import type { Store } from '../store/store.js'
import type { Queryable } from '../store/tables.js'
import type { Revocations } from './revocations.js'

/** A role with fewer scopes than before. */
interface Reduced {
  role: string
  /** The scopes that it has lost. */
  scopes: readonly string[]
}

/**
 * Stores the definition of the roles, and revokes the tokens that name a role that lost a scope or was removed. Both
 * happen in one transaction, so a crash cannot store the new definition without revoking the tokens.
 */
export async function shareRoles (
  { store, revocations }: { store: Store, revocations: Pick<Revocations, 'write'> }, own: RoleDefinitions
): Promise<void> {
  // Most starts change nothing, and write nothing.
  if (isSame(await store.read(readRoles), own)) return
  // The rule must outlive every token, so the lifetimes must not change meanwhile.
  await revocations.write([exclusive('roles'), shared('keys')], async ({ trx, revoke, record }) => {
    const stored = await readRoles(trx)
    if (isSame(stored, own)) return
    await trx.deleteFrom('latchkey_roles').execute()
    const rows = Object.entries(own).map(([name, scopes]) => ({ name, scope: formatScope(scopes) }))
    if (rows.length > 0) await trx.insertInto('latchkey_roles').values(rows).execute()
    for (const { role, scopes } of findReduced(stored, own)) {
      await revoke.role(role)
      await record({ type: 'role_reduced', actor: SYSTEM, details: { role, scopes } })
    }
  })
}

async function readRoles (db: Queryable): Promise<RoleDefinitions> {
  const rows = await db.selectFrom('latchkey_roles').select(['name', 'scope']).execute()
  return Object.fromEntries(rows.map(({ name, scope }) => [name, parseScope(scope)]))
}

function isSame (stored: RoleDefinitions, own: RoleDefinitions): boolean {
  const names = Object.keys(own)
  return names.length === Object.keys(stored).length && names.every(name =>
    Object.hasOwn(stored, name) && formatScope(stored[name] ?? []) === formatScope(own[name] ?? []))
}

function findReduced (stored: RoleDefinitions, own: RoleDefinitions): Reduced[] {
  return Object.entries(stored)
    .map(([role, scopes]) => {
      const left = Object.hasOwn(own, role) ? own[role] ?? [] : []
      return { role, scopes: scopes.filter(scope => !left.includes(scope)) }
    })
    .filter(({ role, scopes }) => scopes.length > 0 || !Object.hasOwn(own, role))
}
