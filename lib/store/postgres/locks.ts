/** The first half of the names of Latchkey's advisory locks ("latc"). The second half is one of the numbers below. */
export const LOCKS = 0x6c617463

/** Held by each write transaction. */
export const WRITER = 1

/** Held by the node that runs `Store.onOneNode`. */
export const ONE_NODE = 2
