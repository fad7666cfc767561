import { LatchkeyError } from '../lib/errors.js'
import { createTokenCache } from '../lib/tokens/cache.js'
import type { ServiceClient } from './client.js'
import { ageOf, readMoment } from '../lib/time/elapsed-time.js'
import type { Moment, Stopwatches } from '../lib/time/elapsed-time.js'
import type { Requests } from './requests.js'

/** The cache keeps at most twice as many answers, each for no longer than the bound. */
const CACHE_HALF = 1_000

/** Asks the service about single tokens. */
export interface Introspection {
  /**
   * Resolves if the service reports the token as active. Rejects with `token_revoked` if the service reports it as
   * inactive, and with another error if the status is unknown.
   */
  assertLive (token: string): Promise<void>
  /** Does the same, and returns what the service reports about the token. */
  describe (token: string): Promise<Record<string, unknown>>
}

interface Question {
  /** The moment of the question. Once there is an answer, the moment that the answer describes. */
  since: Moment
  answer: Promise<Answer>
}

interface Answer {
  isLive: boolean
  members: Record<string, unknown>
  /** Up to this moment the service knew all revocations. Another of its nodes may have revoked the token since. */
  asOf: Moment
}

/**
 * Creates the client of `POST /introspect` (RFC 7662). Questions about the same token within the bound share one
 * answer. An answer that is older than the bound does not count.
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
    // If the client lacks the scope, the service reports every token as inactive, which would log everyone out.
    await client.confirm()
    const { members, headers } = await requests.json(endpoint(), {
      method: 'POST',
      headers: client.basic,
      form: { token, token_type_hint: 'access_token' },
      timeout: bound
    })
    const { active } = members
    if (typeof active !== 'boolean') {
      throw new Error('The introspection response does not say whether the token is active')
    }
    const asOf = readInteger(headers.get('revocation-as-of'))
    if (asOf === undefined) throw new Error('The introspection response has no valid Revocation-As-Of header')
    // Never later than the question.
    const elapsed = Math.min(asOf, 0)
    return { isLive: active, members, asOf: { wall: asked.wall + elapsed, stopwatch: asked.stopwatch + elapsed } }
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

  async function describe (token: string): Promise<Record<string, unknown>> {
    const { isLive, members, asOf } = await questionOf(token).answer
    // A revoked token stays revoked, so this response cannot become stale.
    if (!isLive) throw new LatchkeyError('token_revoked')
    if (ageOf(asOf, time) > bound) {
      throw new Error('The introspection endpoint responds too slowly, ' +
        'or is itself not up to date, so the revocation status is unknown')
    }
    return members
  }

  return {
    describe,
    async assertLive (token) {
      await describe(token)
    }
  }
}

/** Parses a number of milliseconds. `Number` would turn an empty header into 0, so the answer would look current. */
function readInteger (text: string | null): number | undefined {
  return text !== null && /^-?\d{1,15}$/.test(text) ? Number(text) : undefined
}
