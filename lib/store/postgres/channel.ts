/**
 * The channel on which nodes announce changes. All Latchkeys in one database share it. A node that is woken by another
 * Latchkey asks for the number of its own last change, and finds nothing new.
 */
export const CHANNEL = 'latchkey_changed'
