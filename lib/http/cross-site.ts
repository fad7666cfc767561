/** The parts of a request that show where it comes from. */
export interface RequestOrigin {
  method: string
  /** The `Sec-Fetch-Site` header. */
  fetchSite: string | undefined
  /** The `Origin` header. */
  origin: string | undefined
  /** The host that the request was sent to, with its port unless that is the default. */
  host: string
  /** Whether the request has an `Upgrade` header, as a WebSocket handshake does. */
  isUpgrade: boolean
}

/** Whether requests with this method change nothing: RFC 9110 section 9.2.1. */
export function isSafeMethod (method: string): boolean {
  return method === 'GET' || method === 'HEAD' || method === 'OPTIONS'
}

/**
 * Whether a browser sends a request on behalf of another site. This is the rule of Go's `http.CrossOriginProtection`,
 * which needs no CSRF token. Requests that change nothing pass, except requests to upgrade the connection, because the
 * same-origin policy does not stop a page from reading a WebSocket. Requests with neither `Sec-Fetch-Site` nor `Origin`
 * pass too, because no browser of this decade sends them.
 * @param trustedOrigins - origins (`https://app.example.com`, `capacitor://localhost`) that may use the cookies.
 */
export function isCrossSite (
  { method, fetchSite, origin, host, isUpgrade }: RequestOrigin,
  trustedOrigins: ReadonlySet<string>
): boolean {
  if (!isUpgrade && isSafeMethod(method)) return false
  if (origin !== undefined && trustedOrigins.has(origin)) return false
  if (fetchSite !== undefined) return fetchSite !== 'same-origin' && fetchSite !== 'none'
  if (origin === undefined) return false
  try {
    const { protocol, host: originHost } = new URL(origin)
    // An app can choose any host name with its own scheme, so only a web page can have the origin of the service.
    return !/^https?:$/.test(protocol) || originHost !== host
  } catch {
    return true // For example `null`, the origin of sandboxed frames.
  }
}
