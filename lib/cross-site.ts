/** What of a request tells where it comes from. */
export interface RequestOrigin {
  method: string
  /** The `Sec-Fetch-Site` header. */
  fetchSite: string | undefined
  /** The `Origin` header. */
  origin: string | undefined
  /** The host that the request was sent to, with its port where it is not the default. */
  host: string
}

/**
 * Whether a browser sends this on behalf of another site: the rule of Go's `http.CrossOriginProtection`, which needs no CSRF
 * token. Requests that change nothing pass; so do requests with neither header, which no browser of this decade sends.
 * @param trustedOrigins - origins (`https://app.example.com`) that may use the cookies.
 */
export function isCrossSite ({ method, fetchSite, origin, host }: RequestOrigin, trustedOrigins: ReadonlySet<string>): boolean {
  if (method === 'GET' || method === 'HEAD' || method === 'OPTIONS') return false
  if (origin !== undefined && trustedOrigins.has(origin)) return false
  if (fetchSite !== undefined) return fetchSite !== 'same-origin' && fetchSite !== 'none'
  if (origin === undefined) return false
  try {
    const { host: originHost } = new URL(origin)
    // `file:` and its kin have no host, and must not pass for a request that names none.
    return originHost === '' || originHost !== host
  } catch {
    return true // `null`, the origin of sandboxed frames, among others.
  }
}
