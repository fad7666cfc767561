import { createRuleSlots, findRule, isExpired, issuedBeforeOf, putRule, removeRule, shrink } from './rule-slots.js'

/**
 * How many bits of the hash choose a part. Each part grows by itself, by copying a 64th of all: a table in one piece would stop the
 * event loop for as long as it copies a million rules, and for that time take half as much memory again.
 */
const PART_BITS = 6

/** Rules on 128-bit keys in typed arrays, which the garbage collector does not look through. */
export interface RuleTable {
  /** Adds a rule, or makes the one that is there as strong as both together. `issuedBefore` in milliseconds, Infinity: whenever; `expiresAt` in milliseconds, kept in whole seconds and rounded up. */
  add (key: Int32Array, issuedBefore: number, expiresAt: number): void
  has (key: Int32Array): boolean
  /** Whether a rule kills what was issued at this time (milliseconds). */
  kills (key: Int32Array, issuedAt: number): boolean
  /** Forgets rules that expired before `time`, looking at no more than `limit` slots, taken or free. The next call goes on where this one stopped. */
  sweep (time: number, limit: number): void
  readonly size: number
}

/** Creates an empty table. Of the hash, the upper bits choose the part and the lower ones the slot in it. */
export function createRuleTable (hash: (words: Int32Array, offset: number) => number): RuleTable {
  const parts = Array.from({ length: 1 << PART_BITS }, () => createRuleSlots(hash))
  const partOf = (hashed: number): typeof parts[number] => parts[hashed >>> (32 - PART_BITS)] as typeof parts[number]
  let part = 0
  let slot = 0

  return {
    add (key, issuedBefore, expiresAt) {
      const hashed = hash(key, 0)
      putRule(partOf(hashed), key, hashed, issuedBefore, expiresAt)
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
    sweep (time, limit) {
      for (let looked = 0; looked < limit; looked++) {
        const slots = parts[part] as typeof parts[number]
        if (isExpired(slots, slot, time)) {
          // What stands here now was behind: look at this slot again. A rule that moves from the part's first slots to its last ones
          // is seen twice; one that is moved back by growth between two steps is missed until the next round.
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
