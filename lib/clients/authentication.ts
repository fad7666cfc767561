import { LatchkeyError } from '../errors.js'
import { readClient } from '../http/credentials.js'
import { FIRST_PARTY } from '../identity/client-ids.js'
import { anonymous } from '../ledger/events.js'
import type { Throttle } from '../throttle/throttle.js'
import type { Client, Clients } from './clients.js'

/** The parts of a request to an OAuth endpoint that identify its client. */
export interface ClientRequest {
  address: string
  /** The `Authorization` header. */
  authorization: string | undefined
  body: { client_id?: string, client_secret?: string }
  /** Counts the request in the rate limit of its address. Throws `too_many_requests` if there were too many. */
  countAttempt: () => Promise<void>
}

/** Creates the function that authenticates clients at the OAuth endpoints: RFC 6749 section 2.3. */
export function createClientAuthentication ({ clients, throttle }: {
  clients: Pick<Clients, 'authenticate' | 'find'>
  throttle: Throttle
}) {
  /** Only a public client needs no secret. There is nothing to guess, so no attempt is counted. */
  async function identify (id: string): Promise<Client | undefined> {
    if (id === FIRST_PARTY) return undefined
    const client = await clients.find(id)
    if (client?.isPublic !== true) throw new LatchkeyError('invalid_client')
    return client
  }

  /**
   * Returns the registered client that a request authenticates as, or the public client that it names. Returns
   * undefined for a first-party app, which names no client or `latchkey`. Throws `invalid_client`, whose text and
   * timing do not reveal what was wrong. Throws `invalid_request` if the request has two sets of credentials, or a 429
   * after too many failures from its network.
   */
  return async function authenticateClient ({
    address, authorization, body, countAttempt
  }: ClientRequest): Promise<Client | undefined> {
    const credentials = readClient(authorization, body)
    if (credentials === undefined) return undefined
    const { id, secret } = credentials
    if (secret === undefined) return await identify(id)
    const client = await clients.authenticate(id, secret)
    const own = throttle.clientBucket(id, address)
    // A client with the right secret and no failures causes no write, however often it authenticates.
    if (client !== null && await throttle.isClean(own)) return client

    const subject = client?.id ?? (await clients.find(id))?.id
    // Count the attempt whether the secret is right or not, because a blocked bucket must not reveal whether it is.
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
