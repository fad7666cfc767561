import { form } from './clients.js'

/** How many sessions are revoked at the same time. */
const LANES = 2

/** Milliseconds until a node must respond to a token as expected. */
const LIMIT = 10_000

/** A response to a login. */
export interface Tokens {
  access_token: string
  refresh_token: string
}

/** Milliseconds from a revocation on one node to the first refusal by another. */
export interface Refusal {
  /** Since the revocation was sent. */
  sent: number
  /** Since it was acknowledged. 0 if the refusal came earlier. */
  acknowledged: number
}

/** Ends each session on one node, and sends its access token to the next node without a pause until it is refused. */
export async function measureRefusals (urls: readonly string[], sessions: readonly Tokens[]): Promise<Refusal[]> {
  const refusals: Refusal[] = []
  const waiting = sessions.entries()
  await Promise.all(Array.from({ length: LANES }, async () => {
    for (const [number, tokens] of waiting) {
      const [one = '', other = ''] = [urls[number % urls.length], urls[(number + 1) % urls.length]]
      refusals.push(await measureRefusal(tokens, { one, other }))
    }
  }))
  return refusals
}

async function measureRefusal (
  { access_token: token, refresh_token: refreshToken }: Tokens,
  { one, other }: { one: string, other: string }
): Promise<Refusal> {
  await waitFor(204, other, token)
  const sent = performance.now()
  const refused = waitFor(401, other, token)
  const { path, ...revocation } = form('/revoke', { token: refreshToken })
  const [at, acknowledged] = await Promise.all([
    refused,
    fetch(one + path, revocation).then(async response => {
      await response.text()
      if (!response.ok) throw new Error(`The revocation was answered with ${response.status}`)
      return performance.now()
    })
  ])
  return { sent: at - sent, acknowledged: Math.max(0, at - acknowledged) }
}

/** Sends a token to a node until the response has this status. Returns the time of that response. */
async function waitFor (expected: number, url: string, token: string): Promise<number> {
  const deadline = performance.now() + LIMIT
  let status = 0
  while (performance.now() < deadline) {
    status = await ask(url, token)
    if (status === expected) return performance.now()
  }
  throw new Error(`A token was answered with ${status} instead of ${expected} for ${LIMIT / 1_000} seconds`)
}

async function ask (url: string, token: string): Promise<number> {
  const response = await fetch(`${url}/verify`, { headers: { authorization: `Bearer ${token}` } })
  await response.text()
  return response.status
}
