import type { Rule } from '../lib/revocation/rule-index.js'

// What the feed says, checked before it is believed. What cannot be understood is an error and never passed over: it may be a
// revocation.

const KINDS: readonly unknown[] = ['token', 'session', 'user', 'client']

/** The `data` of an event `state`. */
export interface FeedState {
  /** Milliseconds since the service got the request, up to which it knew everything. */
  asOf: number
  /** Milliseconds: what time it is for the service. */
  time: number
  /** The names of the keys that verify now. */
  keys: string[]
}

/** Reads the `data` of an event `rules`. Throws where it is none. */
export function readRules (data: string): Rule[] {
  const { rules } = parse(data)
  if (!Array.isArray(rules)) throw new Error('The feed sends rules that are no list')
  return rules.map(toRule)
}

/** Reads the `data` of an event `state`. Throws where it is none. */
export function readState (data: string): FeedState {
  const { as_of: asOf, time, keys } = parse(data)
  if (!Number.isSafeInteger(asOf) || !isTime(time) || !Array.isArray(keys) || !keys.every(kid => typeof kid === 'string')) throw new Error('The feed sends a state that cannot be understood')
  return { asOf: asOf as number, time, keys }
}

function parse (data: string): Record<string, unknown> {
  let value: unknown
  try {
    value = JSON.parse(data)
  } catch {}
  if (typeof value !== 'object' || value === null) throw new Error('The feed sends what is no object of JSON')
  return value as Record<string, unknown>
}

function toRule (value: unknown): Rule {
  const { kind, value: name, issued_before: issuedBefore = null, expires_at: expiresAt } = (value ?? {}) as Record<string, unknown>
  if (!KINDS.includes(kind) || typeof name !== 'string' || !(issuedBefore === null || isTime(issuedBefore)) || !isTime(expiresAt)) {
    throw new Error('The feed sends a rule that cannot be understood')
  }
  return { kind: kind as Rule['kind'], value: name, issuedBefore, expiresAt }
}

function isTime (value: unknown): value is number {
  return typeof value === 'number' && Number.isFinite(value)
}
