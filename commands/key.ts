import type { KeyView } from '../lib/keys/keyring.js'

/** A key as `--json` prints it: never the key itself. */
export function toData (key: KeyView): object {
  return {
    kid: key.kid,
    algorithm: key.algorithm,
    state: key.state,
    problem: key.problem,
    signs: key.signs,
    created_at: toText(key.createdAt),
    activates_at: toText(key.activatesAt),
    retires_at: toText(key.retiresAt),
    expires_at: toText(key.expiresAt),
    revoked_at: toText(key.revokedAt),
    issuer: key.issuer,
    audience: key.audience,
    scopes: key.scopes
  }
}

/** Formats a time as in RFC 3339. Returns null for null. */
export function toText (time: number | null): string | null {
  return time === null ? null : new Date(time).toISOString()
}

/** Describes what a key does now, or will do next. */
export function describeNext (key: KeyView): string {
  const { state, problem, signs, activatesAt, retiresAt, expiresAt, revokedAt } = key
  switch (state) {
    case 'pending': return `signs from ${toText(activatesAt)}`
    case 'active': return `${signs ? 'signs' : 'verifies'}${retiresAt === null ? '' : ` until ${toText(retiresAt)}`}`
    case 'retired':
    case 'verify-only': return `verifies until ${toText(expiresAt)}`
    case 'removed': return `verified until ${toText(expiresAt)}`
    case 'revoked': return `was revoked at ${toText(revokedAt)}`
    case 'unusable':
      return problem === 'secret' ? 'cannot be opened with this secret' : "is damaged: 'keys revoke' removes it"
  }
}
