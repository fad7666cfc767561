/** A queue in which no origin can delay the others or keep them out. */
export interface FairQueue<T> {
  /**
   * Puts an item at the end of its origin's lane. If the queue is full, the newest item of the longest lane makes room,
   * as long as that lane stays at least as long as this one.
   * @returns the item that found no room, this one or the other. Undefined if there was room.
   */
  add (origin: string, item: T): T | undefined
  /** Takes the oldest item of the lane whose turn it is. Each lane has one turn in a round. */
  take (): T | undefined
  /** Takes all items. */
  clear (): T[]
  readonly size: number
}

/** Creates a queue for `max` items. */
export function createFairQueue<T> (max: number): FairQueue<T> {
  /** The lanes in the order of their turns. None is empty. */
  const lanes = new Map<string, T[]>()
  let size = 0

  function findLongest (): T[] {
    let longest: T[] = []
    for (const lane of lanes.values()) if (lane.length > longest.length) longest = lane
    return longest
  }

  return {
    add (origin, item) {
      const lane = lanes.get(origin) ?? []
      let dropped: T | undefined
      if (size >= max) {
        const longest = findLongest()
        if (longest.length < lane.length + 2) return item
        dropped = longest.pop()
        size--
      }
      lane.push(item)
      lanes.set(origin, lane)
      size++
      return dropped
    },
    take () {
      const [turn] = lanes
      if (turn === undefined) return undefined
      const [origin, lane] = turn
      const item = lane.shift()
      lanes.delete(origin)
      if (lane.length > 0) lanes.set(origin, lane)
      size--
      return item
    },
    clear () {
      const items = [...lanes.values()].flat()
      lanes.clear()
      size = 0
      return items
    },
    get size () { return size }
  }
}
