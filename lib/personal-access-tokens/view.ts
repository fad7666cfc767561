import type { Static } from 'typebox'
import type { KeyView } from '../../schemas/keys.js'
import type { PersonalAccessToken } from './rows.js'

/** Returns a personal access token as the routes show it. */
export function toKeyView (
  { id, name, scopes, createdAt, expiresAt, lastUsedAt }: PersonalAccessToken
): Static<typeof KeyView> {
  return {
    id,
    name,
    scopes,
    created_at: new Date(createdAt).toISOString(),
    expires_at: textOf(expiresAt),
    last_used_at: textOf(lastUsedAt)
  }
}

function textOf (time: number | undefined): string | null {
  return time === undefined ? null : new Date(time).toISOString()
}
