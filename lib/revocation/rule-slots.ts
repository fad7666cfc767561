/** The smallest number of slots: always a power of two. */
const SMALLEST = 8

/** Four words of key, and one word for the expiry. */
const WIDTH = 5
const EXPIRY = 4

/** The expiry of a rule that is never purged. In seconds it would be the year 2106. */
const NEVER = 0xffffffff

/** The tag of a slot that is free. */
const FREE = 0

/**
 * A hash table with open addressing: a rule is in the slot that its hash selects, or in the next free one. At most 3/4
 * of the slots are taken, because fuller tables make look-ups walk through long runs. The table doubles when it grows,
 * so at least 3/8 are taken. A rule needs 28 to 56 bytes, and half as much more if it names a time.
 */
export interface RuleSlots {
  /**
   * One byte per slot: whether it is taken, and seven bits of the hash. Almost no token is revoked, and for all others
   * a look-up reads only these tags. A million tags fit into the processor's cache, a million keys do not.
   */
  tags: Uint8Array
  cells: Int32Array
  /**
   * Milliseconds, for each slot. Undefined: Infinity for all of them. Only rules that name a time need this column. The
   * many rules for tokens and sessions do not.
   */
  issuedBefore: Float64Array | undefined
  /** The number of slots, less one. */
  mask: number
  /** How many are taken. */
  count: number
  readonly hash: (cells: Int32Array, offset: number) => number
}

export function createRuleSlots (hash: RuleSlots['hash']): RuleSlots {
  return {
    tags: new Uint8Array(SMALLEST),
    cells: new Int32Array(SMALLEST * WIDTH),
    issuedBefore: undefined,
    mask: SMALLEST - 1,
    count: 0,
    hash
  }
}

/**
 * Takes bits of the hash that do not select the slot in tables of up to half a million slots. In larger tables more
 * keys are compared, and the result is the same.
 */
function tagOf (hashed: number): number {
  return 0x80 | (hashed >>> 19 & 0x7f)
}

/** Returns the slot of the rule with this key. If there is none, returns -1 minus the free slot that it would take. */
export function findRule ({ tags, cells, mask }: RuleSlots, key: Int32Array, hashed: number): number {
  const wanted = tagOf(hashed)
  for (let slot = hashed & mask; ; slot = (slot + 1) & mask) {
    const tag = tags[slot]
    if (tag === FREE) return -1 - slot
    if (tag !== wanted) continue
    const offset = slot * WIDTH
    if (
      cells[offset] === key[0] &&
      cells[offset + 1] === key[1] &&
      cells[offset + 2] === key[2] &&
      cells[offset + 3] === key[3]
    ) { return slot }
  }
}

/**
 * Returns the time before which the rule kills, in milliseconds. Infinity: it kills no matter when a token was issued.
 */
export function issuedBeforeOf ({ issuedBefore }: RuleSlots, slot: number): number {
  return issuedBefore === undefined ? Infinity : issuedBefore[slot] as number
}

/** When a rule kills: milliseconds. `issuedBefore` may be Infinity. */
export interface RuleTimes {
  issuedBefore: number
  expiresAt: number
}

/** Inserts a rule. If there is one with this key, the result is as strong as both together. */
export function putRule (
  slots: RuleSlots,
  { key, hashed }: { key: Int32Array, hashed: number },
  times: RuleTimes
): void {
  const expiry = toSeconds(times.expiresAt)
  const found = findRule(slots, key, hashed)
  if (found >= 0) {
    write(slots, found, {
      issuedBefore: Math.max(times.issuedBefore, issuedBeforeOf(slots, found)),
      expiry: Math.max(expiry, expiryOf(slots, found))
    })
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
  write(slots, free, { issuedBefore: times.issuedBefore, expiry })
}

/** `issuedBefore` in milliseconds, `expiry` in seconds. */
function write (
  slots: RuleSlots, slot: number, { issuedBefore, expiry }: { issuedBefore: number, expiry: number }
): void {
  slots.cells[slot * WIDTH + EXPIRY] = expiry
  if (issuedBefore !== Infinity) slots.issuedBefore ??= new Float64Array(slots.mask + 1).fill(Infinity)
  if (slots.issuedBefore !== undefined) slots.issuedBefore[slot] = issuedBefore
}

/**
 * Rounds up, because it is harmless to purge a rule late, but not to purge it a moment too early. A time that does not
 * fit means never.
 */
function toSeconds (expiresAt: number): number {
  const seconds = Math.ceil(expiresAt / 1000)
  return seconds < NEVER ? Math.max(seconds, 0) : NEVER
}

function expiryOf ({ cells }: RuleSlots, slot: number): number {
  return (cells[slot * WIDTH + EXPIRY] as number) >>> 0
}

/** Whether the slot has a rule that expired before `time` (milliseconds). */
export function isExpired (slots: RuleSlots, slot: number, time: number): boolean {
  if (slots.tags[slot] === FREE) return false
  const expiry = expiryOf(slots, slot)
  return expiry !== NEVER && expiry * 1000 < time
}

/**
 * Frees a slot, and moves up the following rules that could no longer be found from the slot that their hash selects.
 * The alternative, marking slots as deleted, would slow down every look-up until the table is rebuilt, and rules come
 * and go all the time.
 */
export function removeRule (slots: RuleSlots, slot: number): void {
  const { tags, cells, mask, hash } = slots
  let hole = slot
  for (let next = (hole + 1) & mask; tags[next] !== FREE; next = (next + 1) & mask) {
    const fromHome = (next - hash(cells, next * WIDTH)) & mask
    if (fromHome >= ((next - hole) & mask)) {
      copyRule({ slots, slot: next }, { slots, slot: hole })
      hole = next
    }
  }
  tags[hole] = FREE
  slots.count--
}

/**
 * Returns memory after a peak: once less than an eighth is taken. Afterwards the table is a quarter to a half full, so
 * that a few rules more or less do not make it grow and shrink in turns.
 */
export function shrink (slots: RuleSlots): void {
  let size = slots.mask + 1
  if (slots.count * 8 >= size) return
  while (size > SMALLEST && slots.count * 4 < size) size /= 2
  if (size <= slots.mask) resize(slots, size)
}

function resize (slots: RuleSlots, size: number): void {
  const old = { ...slots }
  // Everything that can run out of memory comes first, so that the existing table stays intact.
  const tags = new Uint8Array(size)
  const cells = new Int32Array(size * WIDTH)
  const issuedBefore = old.issuedBefore && new Float64Array(size)
  Object.assign(slots, { tags, cells, issuedBefore, mask: size - 1 })
  for (let slot = 0; slot <= old.mask; slot++) {
    if (old.tags[slot] === FREE) continue
    let free = old.hash(old.cells, slot * WIDTH) & slots.mask
    // No two keys are the same, so it only has to find a free slot.
    while (tags[free] !== FREE) free = (free + 1) & slots.mask
    copyRule({ slots: old, slot }, { slots, slot: free })
  }
}

interface Place {
  slots: RuleSlots
  slot: number
}

function copyRule (from: Place, to: Place): void {
  const [source, target] = [from.slots, to.slots]
  target.tags[to.slot] = source.tags[from.slot] as number
  for (let word = 0; word < WIDTH; word++) {
    target.cells[to.slot * WIDTH + word] = source.cells[from.slot * WIDTH + word] as number
  }
  if (source.issuedBefore !== undefined && target.issuedBefore !== undefined) {
    target.issuedBefore[to.slot] = source.issuedBefore[from.slot] as number
  }
}
