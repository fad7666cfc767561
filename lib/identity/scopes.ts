import type { BuiltInScope } from '../../schemas/scopes.js'
import { LatchkeyError } from '../errors.js'

/** The scopes that Latchkey's own routes ask for. Every catalogue has them. */
export const BUILT_IN_SCOPES: Readonly<Record<BuiltInScope, string>> = Object.freeze({
  'users:read': 'Read all users',
  'users:write': 'Create, change and delete users',
  'clients:write': 'Manage machine clients',
  'tokens:introspect': 'Ask whether a token is live',
  'revocations:read': 'Follow the revocation feed',
  'audit:read': 'Read the audit trail',
  'metrics:read': 'Read the metrics'
})

/**
 * Splits a `scope` parameter (RFC 6749 section 3.3) into its scopes: sorted, each once. A damaged column that is not
 * text has none.
 */
export function parseScope (scope: string): string[] {
  if (typeof scope !== 'string') return []
  return [...new Set(scope.split(' ').filter(name => name !== ''))].sort()
}

/** The reverse of `parseScope`. */
export function formatScope (scopes: readonly string[]): string {
  return scopes.join(' ')
}

/**
 * What a login or a refresh gets: all that is granted where nothing is asked for, else exactly what is asked for.
 * Throws `invalid_scope` when more is asked for than granted; the answer does not tell an unknown scope from a withheld one.
 */
export function narrowScope (granted: readonly string[], requested: string | undefined): string[] {
  if (!isNarrower(granted, requested)) throw new LatchkeyError('invalid_scope')
  const asked = parseScope(requested ?? '')
  // `scope=` with nothing in it is no wish for an empty token: RFC 6749 section 3.3 has no empty scope, form clients send it.
  return asked.length === 0 ? [...granted] : asked
}

/** Whether no more is asked for than granted. */
export function isNarrower (granted: readonly string[], requested: string | undefined): boolean {
  return parseScope(requested ?? '').every(scope => granted.includes(scope))
}

/**
 * Throws `insufficient_scope` where there is a built-in scope among `scopes` that `actorScopes` lacks. The built-in scopes are authority
 * over Latchkey itself: nobody gives more of it than the own token carries, or lays hands on an account that has more. The app's own are for
 * every administrator to give.
 * @param actorScopes - what the token of the one who asks carries.
 * @param scopes - those to be granted, or those that the account to be changed has.
 */
export function assertMayGrant (actorScopes: readonly string[], scopes: readonly string[]): void {
  const lacking = scopes.filter(scope => Object.hasOwn(BUILT_IN_SCOPES, scope) && !actorScopes.includes(scope))
  if (lacking.length === 0) return
  throw new LatchkeyError('insufficient_scope', { message: `The access token lacks ${lacking.join(', ')}, which it needs to give that, or to change who has it.`, scope: lacking.join(' ') })
}

/** Throws a RangeError that names the first scope that is not in the catalogue, and those that are. */
export function assertKnownScopes (scopes: readonly string[], catalogue: Readonly<Record<string, string>>): void {
  for (const scope of scopes) {
    if (!Object.hasOwn(catalogue, scope)) {
      throw new RangeError(`Unknown scope '${scope}': the catalogue has ${Object.keys(catalogue).join(', ')}; add it through the option scopes (LATCHKEY_SCOPES)`)
    }
  }
}
