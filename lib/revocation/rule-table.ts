import { createRuleSlots, findRule, isExpired, issuedBeforeOf, putRule, removeRule, shrink } from './rule-slots.js'
import type { RuleTimes } from './rule-slots.js'

/**
 * How many bits of the hash select a part. Each part grows on its own, which copies a 64th of all rules. A table in one
 * piece would block the event loop while it copies a million rules, and need half as much memory again meanwhile.
 */
const PART_BITS = 6

/** Rules with 128-bit keys in typed arrays, which the garbage collector does not scan. */
export interface RuleTable {
  /**
   * Inserts a rule. If there is one with this key, the result is as strong as both together. The expiry is kept in
   * whole seconds, rounded up.
   */
  add (key: Int32Array, times: RuleTimes): void
  has (key: Int32Array): boolean
  /** Whether a rule kills a token issued at this time (milliseconds). */
  kills (key: Int32Array, issuedAt: number): boolean
  /** Returns the time (milliseconds) from which its rule kills no token, or 0 if there is no rule. */
  clearFrom (key: Int32Array): number
  /**
   * Removes rules that expired before `time` (milliseconds). It looks at no more than `limit` slots, taken or free. The
   * next call continues from there.
   */
  sweep (time: number, limit: number): void
  readonly size: number
}

/** Creates an empty table. The upper bits of the hash select the part, and the lower ones the slot in it. */
export function createRuleTable (hash: (words: Int32Array, offset: number) => number): RuleTable {
  const parts = Array.from({ length: 1 << PART_BITS }, () => createRuleSlots(hash))
  const partOf = (hashed: number): typeof parts[number] => parts[hashed >>> (32 - PART_BITS)] as typeof parts[number]
  let part = 0
  let slot = 0

  return {
    add (key, times) {
      const hashed = hash(key, 0)
      putRule(partOf(hashed), { key, hashed }, times)
    },
    has (key) {
      const hashed = hash(key, 0)
      return findRule(partOf(hashed), key, hashed) >= 0
    },
    kills (key, issuedAt) {
      const hashed = hash(key, 0)
      const slots = partOf(hashed)
      const found = findRule(slots, key, hashed)
      return found >= 0 && issuedAt < issuedBeforeOf(slots, found)
    },
    clearFrom (key) {
      const hashed = hash(key, 0)
      const slots = partOf(hashed)
      const found = findRule(slots, key, hashed)
      return found >= 0 ? issuedBeforeOf(slots, found) : 0
    },
    sweep (time, limit) {
      for (let looked = 0; looked < limit; looked++) {
        const slots = parts[part] as typeof parts[number]
        if (isExpired(slots, slot, time)) {
          // A following rule may have moved into this slot, so look at it again. A rule that moves from the part's
          // first slots to its last ones is seen twice. A rule that growth moves back between two steps waits for the
          // next round.
          removeRule(slots, slot)
        } else if (slot < slots.mask) {
          slot++
        } else {
          shrink(slots)
          slot = 0
          part = (part + 1) % parts.length
          if (part === 0) return
        }
      }
    },
    get size () {
      return parts.reduce((size, { count }) => size + count, 0)
    }
  }
}
