import type { Selectable } from 'kysely'
import type { Rule } from './rule-index.js'
import { isMoment, LAST_MOMENT } from '../store/columns.js'
import type { RulesTable } from '../store/tables.js'

/** The columns of a rule that are read. */
export type RuleRow = Pick<Selectable<RulesTable>, 'seq' | 'kind' | 'value' | 'issued_before' | 'reason' | 'expires_at'>

const KINDS: readonly Rule['kind'][] = ['token', 'session', 'user', 'client', 'role']

/** Whether a row has the form of the rules that we write. */
export function isSoundRule ({ kind, value, issued_before: issuedBefore, expires_at: expiresAt }: RuleRow): boolean {
  return (
    KINDS.includes(kind) &&
    typeof value === 'string' &&
    (issuedBefore === null || isMoment(issuedBefore)) &&
    isMoment(expiresAt)
  )
}

/**
 * Returns the rules that a row stands for. A damaged row fails closed: it kills everything that it may have meant, for
 * ever. A row whose value is not text names nothing, so it kills nothing.
 */
export function toRules (row: RuleRow): Rule[] {
  if (typeof row.value !== 'string') return []
  const rule = {
    value: row.value,
    issuedBefore: isMoment(row.issued_before) ? row.issued_before : null,
    expiresAt: isMoment(row.expires_at) ? row.expires_at : LAST_MOMENT,
    ...row.kind === 'session' && row.reason === 'stolen' && { isStolen: true }
  }
  return (KINDS.includes(row.kind) ? [row.kind] : KINDS).map(kind => ({ kind, ...rule }))
}
