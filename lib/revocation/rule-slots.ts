/** The smallest number of slots: always a power of two. */
const SMALLEST = 8

/** Four words of key, and one that says when the rule expires. */
const WIDTH = 5
const EXPIRY = 4

/** The expiry of a rule that is never forgotten: in seconds, the year 2106. */
const NEVER = 0xffffffff

/** The tag of a slot that is free. */
const FREE = 0

/**
 * A hash table with open addressing: a rule stands in the slot that its hash names, or in the next free one. At most 3/4 of the slots
 * are taken: beyond that the runs that a look-up walks through become long. It grows to twice the slots, so 3/8 are taken at least,
 * and a rule takes 28 to 56 bytes, half as much more where it names a time.
 */
export interface RuleSlots {
  /**
   * A byte of each slot: whether it is taken, and seven bits of the hash. Nearly all tokens are not revoked, and for those a look-up
   * reads nothing else: a million tags stay in the processor's cache, a million keys do not.
   */
  tags: Uint8Array
  cells: Int32Array
  /**
   * Milliseconds, for each slot. Undefined: Infinity for all of them. Only rules that name a time need this column, and the many, of
   * tokens and of sessions, name none.
   */
  issuedBefore: Float64Array | undefined
  /** The number of slots, less one. */
  mask: number
  /** How many are taken. */
  count: number
  readonly hash: (cells: Int32Array, offset: number) => number
}

export function createRuleSlots (hash: RuleSlots['hash']): RuleSlots {
  return { tags: new Uint8Array(SMALLEST), cells: new Int32Array(SMALLEST * WIDTH), issuedBefore: undefined, mask: SMALLEST - 1, count: 0, hash }
}

/** From bits of the hash that choose no slot below half a million slots; beyond, more keys are compared, and nothing is wrong. */
function tagOf (hashed: number): number {
  return 0x80 | (hashed >>> 19 & 0x7f)
}

/** Where the rule of `key` stands; where there is none, -1 less the free slot that it would take. */
export function findRule ({ tags, cells, mask }: RuleSlots, key: Int32Array, hashed: number): number {
  const wanted = tagOf(hashed)
  for (let slot = hashed & mask; ; slot = (slot + 1) & mask) {
    const tag = tags[slot]
    if (tag === FREE) return -1 - slot
    if (tag !== wanted) continue
    const offset = slot * WIDTH
    if (cells[offset] === key[0] && cells[offset + 1] === key[1] && cells[offset + 2] === key[2] && cells[offset + 3] === key[3]) return slot
  }
}

/** Infinity: whenever they were issued. */
export function issuedBeforeOf ({ issuedBefore }: RuleSlots, slot: number): number {
  return issuedBefore === undefined ? Infinity : issuedBefore[slot] as number
}

/** Puts a rule in, or makes the one that is there as strong as both together. */
export function putRule (slots: RuleSlots, key: Int32Array, hashed: number, issuedBefore: number, expiresAt: number): void {
  const found = findRule(slots, key, hashed)
  if (found >= 0) {
    write(slots, found, Math.max(issuedBefore, issuedBeforeOf(slots, found)), Math.max(toSeconds(expiresAt), expiryOf(slots, found)))
    return
  }
  let free = -1 - found
  if ((slots.count + 1) * 4 > (slots.mask + 1) * 3) {
    resize(slots, (slots.mask + 1) * 2)
    free = -1 - findRule(slots, key, hashed)
  }
  slots.tags[free] = tagOf(hashed)
  for (let word = 0; word < EXPIRY; word++) slots.cells[free * WIDTH + word] = key[word] as number
  slots.count++
  write(slots, free, issuedBefore, toSeconds(expiresAt))
}

function write (slots: RuleSlots, slot: number, issuedBefore: number, expiry: number): void {
  slots.cells[slot * WIDTH + EXPIRY] = expiry
  if (issuedBefore !== Infinity) slots.issuedBefore ??= new Float64Array(slots.mask + 1).fill(Infinity)
  if (slots.issuedBefore !== undefined) slots.issuedBefore[slot] = issuedBefore
}

/** Rounded up: to forget a rule later than it could be is harmless, a moment too early is not. What does not fit is never forgotten. */
function toSeconds (expiresAt: number): number {
  const seconds = Math.ceil(expiresAt / 1000)
  return seconds < NEVER ? Math.max(seconds, 0) : NEVER
}

function expiryOf ({ cells }: RuleSlots, slot: number): number {
  return (cells[slot * WIDTH + EXPIRY] as number) >>> 0
}

/** Whether a rule that expired before `time` (milliseconds) stands here. */
export function isExpired (slots: RuleSlots, slot: number, time: number): boolean {
  if (slots.tags[slot] === FREE) return false
  const expiry = expiryOf(slots, slot)
  return expiry !== NEVER && expiry * 1000 < time
}

/**
 * Frees a slot, and moves up those after it that would otherwise no longer be found from the slot that their hash names. Marks of
 * what was deleted would be in the way of every look-up until all is built anew, and rules come and go all the time.
 */
export function removeRule (slots: RuleSlots, slot: number): void {
  const { tags, cells, mask, hash } = slots
  let hole = slot
  for (let next = (hole + 1) & mask; tags[next] !== FREE; next = (next + 1) & mask) {
    const fromHome = (next - hash(cells, next * WIDTH)) & mask
    if (fromHome >= ((next - hole) & mask)) {
      copyRule(slots, next, slots, hole)
      hole = next
    }
  }
  tags[hole] = FREE
  slots.count--
}

/** Gives back memory after a peak. Not before all but an eighth is free, and a quarter to a half full afterwards: a few rules more or less must not make it grow and shrink by turns. */
export function shrink (slots: RuleSlots): void {
  let size = slots.mask + 1
  if (slots.count * 8 >= size) return
  while (size > SMALLEST && slots.count * 4 < size) size /= 2
  if (size <= slots.mask) resize(slots, size)
}

function resize (slots: RuleSlots, size: number): void {
  const old = { ...slots }
  // All that can fail for want of memory comes first: what is there must stay whole.
  const tags = new Uint8Array(size)
  const cells = new Int32Array(size * WIDTH)
  const issuedBefore = old.issuedBefore && new Float64Array(size)
  Object.assign(slots, { tags, cells, issuedBefore, mask: size - 1 })
  for (let slot = 0; slot <= old.mask; slot++) {
    if (old.tags[slot] === FREE) continue
    let free = old.hash(old.cells, slot * WIDTH) & slots.mask
    // No two keys are the same: only a free slot is looked for.
    while (tags[free] !== FREE) free = (free + 1) & slots.mask
    copyRule(old, slot, slots, free)
  }
}

function copyRule (from: RuleSlots, slot: number, to: RuleSlots, target: number): void {
  to.tags[target] = from.tags[slot] as number
  for (let word = 0; word < WIDTH; word++) to.cells[target * WIDTH + word] = from.cells[slot * WIDTH + word] as number
  if (from.issuedBefore !== undefined && to.issuedBefore !== undefined) to.issuedBefore[target] = from.issuedBefore[slot] as number
}
