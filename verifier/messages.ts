import type { Rule } from '../lib/revocation/rule-index.js'

// Parses and checks the messages of the feed. An unknown message is an error and never skipped, because it may be a
// revocation.

const KINDS: readonly unknown[] = ['token', 'session', 'user', 'client']

/** The `data` of a `state` event. */
export interface FeedState {
  /** The service knew all revocations up to this many milliseconds after it received the request. */
  asOf: number
  /** The time of the service, in milliseconds since 1970. */
  time: number
  /**
   * In milliseconds since 1970. The service has deleted the rules that expire before then, so every token that was
   * issued before then and expires by then is dead.
   */
  horizon: number
  /** The names of the keys that are valid now. */
  keys: string[]
}

/** Reads the `data` of a `rules` event. Throws if it is malformed. */
export function readRules (data: string): Rule[] {
  // A service of an earlier version sends no roles.
  const { rules, roles = [] } = parse(data)
  if (!Array.isArray(rules) || !Array.isArray(roles)) throw new Error('The feed sent rules that are not a list')
  return [...rules.map(toRule), ...roles.map(toRoleRule)]
}

/** Reads the `data` of a `state` event. Throws if it is malformed. */
export function readState (data: string): FeedState {
  // A service of an earlier version sends no horizon.
  const { as_of: asOf, time, horizon = 0, keys } = parse(data)
  if (
    !Number.isSafeInteger(asOf) ||
    !isTime(time) ||
    !isTime(horizon) ||
    !Array.isArray(keys) ||
    !keys.every(kid => typeof kid === 'string')
  ) { throw new Error('The feed sent a malformed state') }
  return { asOf: asOf as number, time, horizon, keys }
}

function parse (data: string): Record<string, unknown> {
  let value: unknown
  try {
    value = JSON.parse(data)
  } catch {}
  if (typeof value !== 'object' || value === null) throw new Error('The feed sent data that is not a JSON object')
  return value as Record<string, unknown>
}

function toRule (value: unknown): Rule {
  const rule = toRuleOf(value)
  const { kind } = value as { kind?: unknown }
  if (!KINDS.includes(kind)) throw new Error('The feed sent a rule of an unknown kind')
  return { ...rule, kind: kind as Rule['kind'] }
}

function toRoleRule (value: unknown): Rule {
  return { ...toRuleOf(value), kind: 'role' }
}

/** Reads the members that every rule has. */
function toRuleOf (value: unknown): Omit<Rule, 'kind'> {
  const {
    value: name,
    issued_before: issuedBefore = null,
    stolen = false,
    expires_at: expiresAt
  } = (value ?? {}) as Record<string, unknown>
  const isSound = typeof name === 'string' && (issuedBefore === null || isTime(issuedBefore)) &&
    typeof stolen === 'boolean' && isTime(expiresAt)
  if (!isSound) throw new Error('The feed sent a malformed rule')
  return { value: name, issuedBefore, isStolen: stolen, expiresAt }
}

function isTime (value: unknown): value is number {
  return typeof value === 'number' && Number.isFinite(value)
}
