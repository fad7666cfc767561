/** What one connection may cost the service. Times are in milliseconds, sizes in bytes. */
export interface Limits {
  /** The size of a request body. The largest one in the contract changes a password. */
  body: number
  /**
   * The size of the request line and all headers. It has room for an access token in both a cookie and a header, and
   * for the other headers of a browser.
   */
  head: number
  /** The number of header fields. Browsers send about twenty, and each one costs work. */
  headers: number
  /** The time from the first byte (or the connection) to the end of the headers. */
  headersTimeout: number
  /** The same to the end of the body. Later work, such as waiting for a thread, does not count. */
  requestTimeout: number
  /**
   * How long a connection may wait for its next request. It is longer than reverse proxies wait, so they never send a
   * request into a connection that is closing.
   */
  keepAliveTimeout: number
  /**
   * How long a connection may be idle. The limit ends responses that no client reads. It is longer than the longest
   * wait of a login, because the connection is idle then too.
   */
  connectionTimeout: number
  /** How often the server looks for requests that take too long, and so how late it may cut them off. */
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
