import type { IncomingHttpHeaders } from 'node:http'
import type { AuthenticatedUser } from '../identity/access-token.js'
import { formatScope } from '../identity/scopes.js'
import { isSafeMethod } from './cross-site.js'

/** The headers in which proxies name the method of the request that they ask about. */
const METHOD_HEADERS = ['x-forwarded-method', 'x-original-method'] as const

/**
 * Returns the method of the request that a proxy asks about. It decides whether a page of another site may have sent
 * the request with our cookies. If the proxy does not name a method, or a client adds another one, the result is not a
 * safe method.
 */
export function readForwardedMethod (headers: IncomingHttpHeaders): string {
  // Proxies ask by GET and leave out `Upgrade`, but a page of another site could read a WebSocket.
  if (isWebSocket(headers)) return 'CONNECT'
  const methods = METHOD_HEADERS.flatMap(name => headers[name] ?? [])
  return methods.find(method => !isSafeMethod(method)) ?? methods[0] ?? 'unknown'
}

function isWebSocket (headers: IncomingHttpHeaders): boolean {
  return headers.upgrade !== undefined ||
    headers['sec-websocket-key'] !== undefined ||
    headers['sec-websocket-version'] !== undefined ||
    headers['sec-fetch-mode'] === 'websocket'
}

/**
 * Returns the headers that name the sender of a request to the program behind the proxy. All of them are always
 * present, so that they replace headers of the same names that a client has sent.
 */
export function identityHeaders ({ claims: { sub }, clientId, scopes }: AuthenticatedUser): Record<string, string> {
  return {
    'x-latchkey-user': toHeader(sub),
    'x-latchkey-client': toHeader(clientId),
    'x-latchkey-scopes': formatScope(scopes)
  }
}

/** Percent-encodes everything except visible ASCII, because the app chooses the ids of its users. */
function toHeader (id: string): string {
  return id.replace(/[^\x21-\x24\x26-\x7E]+/g, encodeURIComponent)
}
