import { LatchkeyError } from '../errors.js'
import { readClient } from '../http/credentials.js'
import { anonymous } from '../ledger/events.js'
import type { Throttle } from '../throttle/throttle.js'
import type { Client, Clients } from './clients.js'

/** What a request to an OAuth endpoint brings of its client. */
export interface ClientRequest {
  address: string
  /** The `Authorization` header. */
  authorization: string | undefined
  body: { client_id?: string, client_secret?: string }
  /** Counts the request in the rate limit of its address. Throws `too_many_requests` if there were too many. */
  countAttempt: () => Promise<void>
}

/** Makes the authentication of clients at the OAuth endpoints: RFC 6749 section 2.3. */
export function createClientAuthentication ({ clients, throttle }: {
  clients: Pick<Clients, 'authenticate' | 'find'>
  throttle: Throttle
}) {
  /**
   * Returns the registered client that a request authenticates as, or undefined if it names none: a first-party app.
   * Throws `invalid_client` in the same words and time whatever was wrong, `invalid_request`, or a 429 if too many
   * failed from there.
   */
  return async function authenticateClient ({
    address, authorization, body, countAttempt
  }: ClientRequest): Promise<Client | undefined> {
    const credentials = readClient(authorization, body)
    if (credentials === undefined) return undefined
    const { id, secret } = credentials
    const client = await clients.authenticate(id, secret)
    const own = throttle.clientBucket(id, address)
    // Nothing is written for a client with the right secret, however often it authenticates.
    if (client !== null && await throttle.isClean(own)) return client

    const subject = client?.id ?? (await clients.find(id))?.id
    // This comes before the answer, whether the secret is right or not: a blocked bucket must not reveal which.
    await countAttempt()
    const bucket = client === null ? await throttle.findFailureBucket(subject, address) : own
    const who = {
      actor: anonymous(address), subject: subject ?? null, failure: 'client_authentication_failed'
    } as const
    return await throttle.attempt(bucket, who, async () => {
      if (client === null) throw new LatchkeyError('invalid_client')
      return client
    })
  }
}
