import { ageOf, readMoment } from '../lib/time/elapsed-time.js'
import type { Moment, Stopwatches } from '../lib/time/elapsed-time.js'
import type { Requests } from './requests.js'
import type { Credentials } from './settings.js'

/** Of its own access token a verifier uses the first half for something new, and the rest for what is under way. */
const USED_HALF = 0.5

/** What a verifier is to the service: a machine client. */
export interface ServiceClient {
  /** An access token of its own, and for how many milliseconds it is good. */
  token (): Promise<{ text: string, remaining: number }>
  /** Resolves where the service has granted what the token is for, now or before. Rejects where it does not, or cannot be reached. */
  confirm (): Promise<void>
  /** Whether it has been so. */
  isConfirmed (): boolean
  /** Forgets the token: it was refused. */
  forget (): void
  /** The header of a request that authenticates by id and secret: RFC 6749 section 2.3.1. */
  readonly basic: { authorization: string }
}

interface HeldToken {
  text: string
  since: Moment
  /** Milliseconds. */
  lifetime: number
}

/**
 * Creates the client.
 * @param endpoint - tells the token endpoint, which has to be discovered first.
 * @param scope - what its access token is for.
 * @param onConfirmed - called when the service grants that.
 */
export function createServiceClient ({ credentials, endpoint, scope, requests, time, onConfirmed }: {
  credentials: Credentials
  endpoint: () => string
  scope: string
  requests: Requests
  time: Stopwatches
  onConfirmed: () => void
}): ServiceClient {
  const pair = [credentials.clientId, credentials.clientSecret].map(formEncode).join(':')
  const basic = { authorization: `Basic ${Buffer.from(pair).toString('base64')}` }
  let held: HeldToken | undefined
  let fetching: Promise<HeldToken> | undefined
  let isConfirmed = false

  async function fetchToken (): Promise<HeldToken> {
    const since = readMoment(time)
    const { members } = await requests.json(endpoint(), { method: 'POST', headers: basic, form: { grant_type: 'client_credentials', scope } })
    const { access_token: text, expires_in: seconds, token_type: type } = members
    if (typeof text !== 'string' || typeof type !== 'string' || type.toLowerCase() !== 'bearer' || typeof seconds !== 'number' || !(seconds > 0)) {
      throw new Error('The token endpoint gives no access token that can be used')
    }
    isConfirmed = true
    onConfirmed()
    held = { text, since, lifetime: seconds * 1000 }
    return held
  }

  async function hold (): Promise<HeldToken> {
    if (held !== undefined && ageOf(held.since, time) <= held.lifetime * USED_HALF) return held
    fetching ??= fetchToken().finally(() => { fetching = undefined })
    return await fetching
  }

  return {
    async token () {
      const { text, since, lifetime } = await hold()
      return { text, remaining: lifetime - ageOf(since, time) }
    },
    async confirm () {
      if (!isConfirmed) await hold()
    },
    isConfirmed: () => isConfirmed,
    forget () {
      held = undefined
    },
    basic
  }
}

/** As in a form, which RFC 6749 section 2.3.1 wants before the base64. */
function formEncode (text: string): string {
  return new URLSearchParams({ text }).toString().slice('text='.length)
}
