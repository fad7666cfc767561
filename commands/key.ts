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
    scopes: key.scopes,
    subject_claim: key.leniency.subjectClaim ?? null,
    numeric_subject: key.leniency.numericSubject ?? false,
    max_age: key.leniency.maxAge === undefined ? null : key.leniency.maxAge / 1000,
    short_secret: key.leniency.allowShortSecret ?? false
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
    case 'retired': return `verifies until ${toText(expiresAt)}`
    case 'verify-only': return `verifies until ${toText(expiresAt)}${describeSettings(key)}`
    case 'removed': return `verified until ${toText(expiresAt)}`
    case 'revoked': return `was revoked at ${toText(revokedAt)}`
    case 'unusable':
      return problem === 'secret' ? 'cannot be opened with this secret' : "is damaged: 'keys revoke' removes it"
  }
}

/** Describes the settings of a key that only verifies. Empty if it has none. */
function describeSettings ({ issuer, audience, scopes, leniency }: KeyView): string {
  const { subjectClaim, numericSubject, maxAge, allowShortSecret } = leniency
  const settings = Object.entries({
    issuer,
    audience,
    scopes: scopes?.join(' '),
    'subject claim': subjectClaim,
    'numeric subject': numericSubject === true ? 'accepted' : undefined,
    'age without exp': maxAge === undefined ? undefined : `${maxAge / 1000} s`,
    'short secret': allowShortSecret === true ? 'accepted' : undefined
  }).filter(([, value]) => value !== undefined && value !== null)
  return settings.length === 0 ? '' : ` (${settings.map(([name, value]) => `${name}: ${value}`).join(', ')})`
}
