import type { PersonalAccessToken } from '../lib/personal-access-tokens/rows.js'

/** A personal access token as `--json` prints it. */
export function toData ({ id, name, scopes, createdAt, expiresAt, lastUsedAt }: PersonalAccessToken): object {
  return {
    id,
    name,
    scopes,
    created_at: toText(createdAt),
    expires_at: toText(expiresAt),
    last_used_at: toText(lastUsedAt)
  }
}

/** A time as text, or null. */
export function toText (time: number | undefined): string | null {
  return time === undefined ? null : new Date(time).toISOString()
}
