import { Options } from '../../schemas/options.js'
import { show } from './check.js'
import type { OptionSchema } from './check.js'

/** Returns the origins of an option as browsers write them. Throws as `readOptions` does. */
export function readOrigins (name: 'trustedOrigins' | 'corsOrigins', texts: readonly string[]): Set<string> {
  return new Set(texts.map(text => {
    try {
      return new URL(text).origin
    } catch (cause) {
      const { env, expects } = Options.properties[name] as OptionSchema
      throw new TypeError(`Latchkey: the option ${name} (${env}) has ${show(text)}: it must be ${expects}`, { cause })
    }
  }))
}
