/**
 * The channel on which nodes announce changes. All Latchkeys in one database share it. If another Latchkey wakes a
 * node, the node asks for the number of its own last change, and finds nothing new.
 */
export const CHANNEL = 'latchkey_changed'
