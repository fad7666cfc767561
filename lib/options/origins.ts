import { Options } from '../../schemas/options.js'
import { show } from './check.js'
import type { OptionSchema } from './check.js'

const WEB = /^https?:$/

/**
 * Returns the origins of an option as browsers write them. Throws as `readOptions` does. `URL` has no origin for a
 * custom scheme. Browsers send such an origin as the app wrote it, so it does not change.
 */
export function readOrigins (name: 'trustedOrigins' | 'corsOrigins', texts: readonly string[]): Set<string> {
  return new Set(texts.map(text => {
    try {
      const { protocol, origin } = new URL(text)
      return WEB.test(protocol) ? origin : text
    } catch (cause) {
      const { env, expects } = Options.properties[name] as OptionSchema
      throw new TypeError(`Latchkey: the option ${name} (${env}) has ${show(text)}: it must be ${expects}`, { cause })
    }
  }))
}
