import type { LatchkeyOptions } from '../app.js'

export { createTestClock } from './clock.js'
export type { TestClock } from './clock.js'
export { withTestKit } from './kit.js'
export type { TestableApp, TestKit, TestUser } from './kit.js'

/**
 * The options that make a test quick: a database in memory, cheap hashes of passwords, no limit on attempts, one signing key. What they
 * do not name behaves, and should be configured, as in production.
 */
export const testOptions = Object.freeze({
  database: ':memory:',
  bcryptCost: 4,
  rateLimit: false,
  keyRotation: 'never'
} as const satisfies LatchkeyOptions)
