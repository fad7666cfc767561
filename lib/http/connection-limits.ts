/** What one connection may cost the service. Times are milliseconds, sizes bytes. */
export interface Limits {
  /** The body of a request. The largest of the contract is a password change. */
  body: number
  /** The request line with all headers: an access token twice, a cookie and a header, and what a browser sends beside. */
  head: number
  /** How many header fields. Browsers send some twenty; each is work for whatever looks at them. */
  headers: number
  /** From the first byte (or the connection) to the end of the headers. */
  headersTimeout: number
  /** The same to the end of the body. What comes after, as waiting for a thread, does not count. */
  requestTimeout: number
  /** How long a connection may wait for its next request: longer than the reverse proxies do, that they never send one into its end. */
  keepAliveTimeout: number
  /** How long nothing may move on a connection: more than the longest wait of a login, since nothing moves there either. For answers that nobody reads. */
  connectionTimeout: number
  /** How often it is looked for requests that take too long: how late they may be cut off. */
  checkInterval: number
}

/** The limits of the service. */
export const LIMITS: Readonly<Limits> = {
  body: 16 * 1024,
  head: 16 * 1024,
  headers: 100,
  headersTimeout: 10_000,
  requestTimeout: 20_000,
  keepAliveTimeout: 72_000,
  connectionTimeout: 120_000,
  checkInterval: 1_000
}
