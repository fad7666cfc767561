import { LatchkeyError } from '../lib/errors.js'
import { createTokenCache } from '../lib/tokens/cache.js'
import type { ServiceClient } from './client.js'
import { ageOf, readMoment } from '../lib/time/elapsed-time.js'
import type { Moment, Stopwatches } from '../lib/time/elapsed-time.js'
import type { Requests } from './requests.js'

/** At most twice as many answers are kept, each for no longer than the bound. */
const CACHE_HALF = 1_000

/** Asks the service about single tokens. */
export interface Introspection {
  /** Resolves where the service says that the token is live. Rejects with `token_revoked` where it says no, and with another error where it cannot be told. */
  assertLive (token: string): Promise<void>
}

interface Question {
  /** When it was asked; once there is an answer, as of when that is. */
  since: Moment
  answer: Promise<Answer>
}

interface Answer {
  isLive: boolean
  /** As of when the service knew what is revoked. Another node of it may have revoked since. */
  asOf: Moment
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

  async function ask (token: string, asked: Moment): Promise<Answer> {
    // A client without the scope would be told that no token is live, and would throw everybody out.
    await client.confirm()
    const { members: { active }, headers } = await requests.json(endpoint(), { method: 'POST', headers: client.basic, form: { token, token_type_hint: 'access_token' }, timeout: bound })
    if (typeof active !== 'boolean') throw new Error('The introspection endpoint does not say whether the token is active')
    const asOf = readInteger(headers.get('revocation-as-of'))
    if (asOf === undefined) throw new Error('The introspection endpoint does not send a valid Revocation-As-Of header')
    // Nothing is known of what comes after the question.
    const elapsed = Math.min(asOf, 0)
    return { isLive: active, asOf: { wall: asked.wall + elapsed, stopwatch: asked.stopwatch + elapsed } }
  }

  function questionOf (token: string): Question {
    const known = questions.get(token)
    if (known !== undefined && ageOf(known.since, time) <= bound) return known
    const asked = readMoment(time)
    const answer = ask(token, asked)
    const question = { since: asked, answer }
    answer.then(({ asOf }) => { question.since = asOf }, () => {})
    questions.set(token, question)
    return question
  }

  return {
    async assertLive (token) {
      const { isLive, asOf } = await questionOf(token).answer
      // A no is a no for good.
      if (!isLive) throw new LatchkeyError('token_revoked')
      if (ageOf(asOf, time) > bound) throw new Error('The introspection endpoint answers too slowly, or is itself not up to date, to tell what is revoked')
    }
  }
}

/** Parses a number of milliseconds. `Number` would read an empty header as 0, which would make the answer look new. */
function readInteger (text: string | null): number | undefined {
  return text !== null && /^-?\d{1,15}$/.test(text) ? Number(text) : undefined
}
