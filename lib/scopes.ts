import { LatchkeyError } from './errors.js'

/** The scopes that Latchkey's own routes ask for. Every catalogue has them. */
export const BUILT_IN_SCOPES: Readonly<Record<string, string>> = Object.freeze({
  'users:read': 'Read all users',
  'users:write': 'Create, change and delete users',
  'clients:write': 'Manage machine clients',
  'tokens:introspect': 'Ask whether a token is live',
  'revocations:read': 'Follow the revocation feed',
  'audit:read': 'Read the audit trail',
  'metrics:read': 'Read the metrics'
})

/** Splits a `scope` parameter (RFC 6749 section 3.3) into its scopes: sorted, each once. */
export function parseScope (scope: string): string[] {
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

/** Throws a RangeError that names the first scope that is not in the catalogue, and those that are. */
export function assertKnownScopes (scopes: readonly string[], catalogue: Readonly<Record<string, string>>): void {
  for (const scope of scopes) {
    if (!Object.hasOwn(catalogue, scope)) {
      throw new RangeError(`Unknown scope '${scope}': the catalogue has ${Object.keys(catalogue).join(', ')}; add it through the option scopes (LATCHKEY_SCOPES)`)
    }
  }
}
