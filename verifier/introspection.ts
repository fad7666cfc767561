import { LatchkeyError } from '../lib/errors.js'
import { createTokenCache } from '../lib/token-cache.js'
import type { ServiceClient } from './client.js'
import { ageOf, readMoment } from './moment.js'
import type { Moment, Stopwatches } from './moment.js'
import type { Requests } from './requests.js'

/** At most twice as many answers are kept, each for no longer than the bound. */
const CACHE_HALF = 1_000

/** Asks the service about single tokens. */
export interface Introspection {
  /** Resolves where the service says that the token is live. Rejects with `token_revoked` where it says no, and with another error where it cannot be told. */
  assertLive (token: string): Promise<void>
}

interface Question {
  asked: Moment
  isLive: Promise<boolean>
}

/**
 * Creates what asks `POST /introspect` (RFC 7662). Who asks for a token that somebody has asked for within the bound gets the same answer;
 * an answer to a question older than that is none.
 * @param bound - milliseconds.
 */
export function createIntrospection ({ endpoint, client, requests, time, bound }: {
  endpoint: () => string
  client: ServiceClient
  requests: Requests
  time: Stopwatches
  bound: number
}): Introspection {
  const questions = createTokenCache<Question>(CACHE_HALF)

  async function ask (token: string): Promise<boolean> {
    // A client without the scope would be told that no token is live, and would throw everybody out.
    await client.confirm()
    const { members: { active } } = await requests.json(endpoint(), { method: 'POST', headers: client.basic, form: { token, token_type_hint: 'access_token' }, timeout: bound })
    if (typeof active !== 'boolean') throw new Error('The introspection endpoint does not say whether the token is active')
    return active
  }

  function questionOf (token: string): Question {
    const known = questions.get(token)
    if (known !== undefined && ageOf(known.asked, time) <= bound) return known
    const question = { asked: readMoment(time), isLive: ask(token) }
    questions.set(token, question)
    return question
  }

  return {
    async assertLive (token) {
      const { asked, isLive } = questionOf(token)
      const answer = await isLive
      // A no is a no for good.
      if (!answer) throw new LatchkeyError('token_revoked')
      if (ageOf(asked, time) > bound) throw new Error('The introspection endpoint answers too slowly to tell what is revoked')
    }
  }
}
