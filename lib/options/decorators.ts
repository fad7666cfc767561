import type { LatchkeyOptions } from '../../schemas/options.js'

/** The names of the guards as decorators of the app. */
export interface DecoratorNames {
  authenticate: string
  authenticateOptional: string
  requireScopes: string
}

/**
 * Returns the names of the option `decorators`, or undefined for no decorators. Throws a TypeError for a repeated name.
 */
export function readDecorators (given: LatchkeyOptions['decorators']): DecoratorNames | undefined {
  if (given === false) return undefined
  const {
    authenticate = 'authenticate', authenticateOptional = 'authenticateOptional', requireScopes = 'requireScopes'
  } = given ?? {}
  const names = { authenticate, authenticateOptional, requireScopes }
  const values = Object.values(names)
  const repeated = values.find((name, index) => values.indexOf(name) !== index)
  if (repeated !== undefined) {
    throw new TypeError(
      `Latchkey: the option decorators gives two guards the name ${repeated}: each needs a name of its own`
    )
  }
  return names
}
