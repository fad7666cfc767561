import type { LatchkeyOptions } from '../app.js'

export { createTestClock } from './clock.js'
export type { TestClock } from './clock.js'
export { withTestKit } from './kit.js'
export type { TestableApp, TestKeySettings, TestKit, TestUser } from './kit.js'

/**
 * Options that make tests fast: a database in memory, cheap password hashes, no rate limit, and one signing key.
 * Configure everything else as in production.
 */
export const testOptions = Object.freeze({
  database: ':memory:',
  bcryptCost: 4,
  rateLimit: false,
  keyRotation: 'never'
} as const satisfies LatchkeyOptions)
