import { ageOf, readMoment } from '../lib/time/elapsed-time.js'
import type { Moment, Stopwatches } from '../lib/time/elapsed-time.js'
import type { Requests } from './requests.js'
import type { Credentials } from './settings.js'

/**
 * A verifier starts new work only in the first half of its own access token's life. The rest is for work in progress.
 */
const USED_HALF = 0.5

/** The verifier in its role as a machine client of the service. */
export interface ServiceClient {
  /** Returns an access token of the verifier's own, and for how many more milliseconds it is valid. */
  token (): Promise<{ text: string, remaining: number }>
  /**
   * Resolves if the service has granted the scope of the token, now or earlier. Rejects if it refuses, or cannot be
   * reached.
   */
  confirm (): Promise<void>
  /** Whether the service has ever granted the scope. */
  isConfirmed (): boolean
  /** Discards the token after the service has refused it. */
  forget (): void
  /** The header that authenticates a request by id and secret: RFC 6749 section 2.3.1. */
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
 * @param endpoint - returns the token endpoint, which must have been discovered.
 * @param scope - the scope of its access token.
 * @param onConfirmed - called when the service grants that scope.
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
    const { members } = await requests.json(endpoint(), {
      method: 'POST',
      headers: basic,
      form: { grant_type: 'client_credentials', scope }
    })
    const { access_token: text, expires_in: seconds, token_type: type } = members
    if (
      typeof text !== 'string' ||
      typeof type !== 'string' ||
      type.toLowerCase() !== 'bearer' ||
      typeof seconds !== 'number' ||
      !(seconds > 0)
    ) {
      throw new Error('The token endpoint did not return a usable access token')
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

/** RFC 6749 section 2.3.1 requires form encoding before base64. */
function formEncode (text: string): string {
  return new URLSearchParams({ text }).toString().slice('text='.length)
}
