import { LatchkeyError } from '../lib/errors.js'
import { isKey } from '../lib/personal-access-tokens/value.js'
import { MAX_TOKEN_LENGTH } from '../lib/tokens/header.js'
import type { Verifier } from './verifier.js'

/**
 * Combines the verifiers of several issuers. The `iss` of a token, which is not trusted yet, only selects the verifier.
 * That verifier accepts only its own issuer, keys and audience.
 */
export function combineVerifiers (list: ReadonlyArray<[issuer: string, verifier: Verifier]>): Verifier {
  const verifiers = new Map(list)
  const all = [...verifiers.values()]

  function find (token: string | undefined): Verifier {
    if (token === undefined) throw new LatchkeyError('unauthenticated')
    // A personal access token names no issuer, so only the first issuer can accept it.
    const verifier = isKey(token) ? all[0] : verifiers.get(readIssuer(token) ?? '')
    if (verifier === undefined) throw new LatchkeyError('invalid_token')
    return verifier
  }

  return {
    async ready () {
      await Promise.all(all.map(verifier => verifier.ready()))
    },
    verify: token => find(token).verify(token),
    confirm: token => find(token).confirm(token),
    status () {
      const states = list.map(([issuer, verifier]) => ({ issuer, ...verifier.status() }))
      const ages = states.map(({ age }) => age)
      const failed = states.find(({ error }) => error !== undefined)
      return {
        accepting: states.every(({ accepting }) => accepting),
        fresh: states.every(({ fresh }) => fresh),
        age: ages.includes(undefined) ? undefined : Math.max(...ages.map(Number)),
        error: failed && `${failed.issuer}: ${failed.error}`,
        issuers: Object.fromEntries(states.map(({ issuer, ...state }) => [issuer, state]))
      }
    },
    now: () => Math.max(...all.map(verifier => verifier.now())),
    scopes () {
      const names = all.map(verifier => verifier.scopes())
      return names.includes(undefined) ? undefined : [...new Set(names.flatMap(some => some ?? []))]
    },
    endSignals () {
      for (const verifier of all) verifier.endSignals()
    },
    close () {
      for (const verifier of all) verifier.close()
    }
  }
}

/** Returns the `iss` of a text that looks like a token. */
function readIssuer (token: unknown): string | undefined {
  if (typeof token !== 'string' || token.length > MAX_TOKEN_LENGTH) return undefined
  const [, payload = ''] = token.split('.', 2)
  try {
    const claims: unknown = JSON.parse(Buffer.from(payload, 'base64url').toString())
    const { iss } = claims as { iss?: unknown }
    return typeof iss === 'string' ? iss : undefined
  } catch {
    return undefined
  }
}
