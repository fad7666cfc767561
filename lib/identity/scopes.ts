import type { BuiltInScope } from '../../schemas/scopes.js'
import { LatchkeyError } from '../errors.js'

/** The scopes that Latchkey's own routes require. Every catalogue has them. */
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
 * Splits a `scope` parameter (RFC 6749 section 3.3) into its scopes, sorted and without duplicates. A damaged column
 * that is not text has none.
 */
export function parseScope (scope: string): string[] {
  if (typeof scope !== 'string') return []
  return [...new Set(scope.split(' ').filter(name => name !== ''))].sort()
}

/** The reverse of `parseScope`. */
export function formatScope (scopes: readonly string[]): string {
  return scopes.join(' ')
}

/** Scopes of OpenID Connect that client libraries request on their own. */
const OPENID = ['openid', 'offline_access', 'profile', 'email']

/**
 * Removes the scopes of OpenID Connect from a `scope` parameter, except those that the app has. RFC 6749 section 3.3
 * allows a server to ignore scopes, because the response lists those that were granted.
 */
export function dropOpenIdScopes (
  scope: string | undefined, catalogue: Readonly<Record<string, string>>
): string | undefined {
  if (scope === undefined) return undefined
  return formatScope(parseScope(scope).filter(name => Object.hasOwn(catalogue, name) || !OPENID.includes(name)))
}

/**
 * Returns the scopes that a login or a refresh receives: all granted ones if it requests none, otherwise exactly the
 * requested ones. Throws `invalid_scope` if it requests more than is granted. The error is the same for an unknown
 * scope and for one that is not granted.
 */
export function narrowScope (granted: readonly string[], requested: string | undefined): string[] {
  if (!isNarrower(granted, requested)) throw new LatchkeyError('invalid_scope')
  const asked = parseScope(requested ?? '')
  // `scope=` without a value does not request an empty token. RFC 6749 section 3.3 has no empty scope, but forms send
  // it.
  return asked.length === 0 ? [...granted] : asked
}

/** Whether a request asks for no more than is granted. */
export function isNarrower (granted: readonly string[], requested: string | undefined): boolean {
  return parseScope(requested ?? '').every(scope => granted.includes(scope))
}

/**
 * Throws `insufficient_scope` if `scopes` contains a built-in scope that `actorScopes` lacks. The built-in scopes are
 * authority over Latchkey itself. Administrators cannot grant more of it than their own token carries, and cannot
 * change an account that has more. Every administrator can grant the app's own scopes.
 * @param actorScopes - the scopes of the administrator's token.
 * @param scopes - the scopes to grant, or those of the account to change.
 */
export function assertMayGrant (actorScopes: readonly string[], scopes: readonly string[]): void {
  const lacking = scopes.filter(scope => Object.hasOwn(BUILT_IN_SCOPES, scope) && !actorScopes.includes(scope))
  if (lacking.length === 0) return
  throw new LatchkeyError('insufficient_scope', {
    message: `The access token lacks ${lacking.join(', ')}. ` +
      'It needs a built-in scope to grant it, or to change an account that has it.',
    scope: lacking.join(' ')
  })
}

/** Throws a RangeError that names the first unknown scope and lists the known ones. */
export function assertKnownScopes (scopes: readonly string[], catalogue: Readonly<Record<string, string>>): void {
  for (const scope of scopes) {
    if (!Object.hasOwn(catalogue, scope)) {
      throw new RangeError(
        `Unknown scope '${scope}': the catalogue has ${Object.keys(catalogue).join(', ')}; ` +
        'add it through the option scopes (LATCHKEY_SCOPES)'
      )
    }
  }
}
