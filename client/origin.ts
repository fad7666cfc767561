/** A scheme, a host and a port, and nothing that two parsers may read in different ways. */
const ORIGIN = /^(https?):\/\/([\w.-]+|\[[\da-f:.]+\])(?::(\d{1,5}))?(?=[/?#]|$)/i

const DEFAULT_PORTS: Record<string, string> = { http: '80', https: '443' }

/**
 * Returns the origin of a URL, as browsers write it. Undefined for a URL with credentials, a backslash or anything else
 * that is not part of a plain origin. It does not use `URL`, because in React Native `URL` has no origin.
 * @param url - the URL of a `Request`, which browsers and Node.js have normalized. React Native has not.
 */
export function originOf (url: string): string | undefined {
  const [, scheme = '', host, port] = ORIGIN.exec(url.toLowerCase()) ?? []
  if (host === undefined) return undefined
  return `${scheme}://${host}${port === undefined || port === DEFAULT_PORTS[scheme] ? '' : `:${port}`}`
}
