import { isIPv4, isIPv6 } from 'node:net'
import ipaddr from 'ipaddr.js'

type Address = ipaddr.IPv4 | ipaddr.IPv6

/** The longest text that can be an address: IPv6 with a zone, in brackets and with a port. */
const MAX_LENGTH = 80

/** Names for ranges, the same as in @fastify/proxy-addr. */
const NAMED_RANGES: Readonly<Record<string, readonly string[]>> = {
  loopback: ['127.0.0.0/8', '::1/128'],
  linklocal: ['169.254.0.0/16', 'fe80::/10'],
  uniquelocal: ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', 'fc00::/7']
}

/**
 * Returns the address that a request came from, in its canonical spelling. An IPv4 address written as IPv6 (RFC 4291
 * section 2.5.5.2) becomes IPv4. The port that some proxies add is removed, and so are brackets and the zone.
 * @param text - `request.ip`, which may be any text that a client wrote into `X-Forwarded-For`.
 * @returns null if it is not an address, so that no text of a client is stored or logged.
 */
export function addressOf (text: string | null | undefined): string | null {
  const address = parseAddress(text)
  if (address === undefined) return null
  return address.kind() === 'ipv6' ? (address as ipaddr.IPv6).toRFC5952String() : address.toString()
}

/**
 * Returns the network that counts as one sender, in its canonical spelling. This is an IPv4 address itself, or the
 * first 64 bits of an IPv6 address, because one subscriber has all addresses in them. All text that is not an address
 * counts as one network, and so do Unix sockets.
 */
export function networkOf (text: string | null | undefined): string {
  const address = parseAddress(text)
  if (address === undefined) return ''
  if (address.kind() === 'ipv4') return address.toString()
  return `${(address as ipaddr.IPv6).parts.slice(0, 4).map(part => part.toString(16)).join(':')}::/64`
}

/**
 * Whether a text is an address, a CIDR range or the name of a range. A range of all addresses is refused, because it
 * would trust everyone.
 */
export function isRange (text: string): boolean {
  return Object.hasOwn(NAMED_RANGES, text) || parseRange(text) !== undefined
}

/**
 * Makes a test for whether an address is in one of these ranges. The test parses the address, because a proxy in front
 * of ours may add a port. Text that is not an address is in no range.
 * @param texts - each must pass `isRange`.
 */
export function createRangeTest (texts: readonly string[]): (address: string | undefined) => boolean {
  const ranges = texts.flatMap(text => NAMED_RANGES[text] ?? text).map(parseRange).filter(range => range !== undefined)
  return function isInRange (text) {
    const address = parseAddress(text)
    return address !== undefined && ranges.some(range => range[0].kind() === address.kind() && address.match(range))
  }
}

function parseRange (text: string): [Address, number] | undefined {
  const [start = '', bits, ...more] = text.split('/')
  // Node.js checks first, because ipaddr.js also accepts `1` and `010.0.0.1`.
  if (more.length > 0 || start.includes('%') || (!isIPv4(start) && !isIPv6(start))) return undefined
  const address = ipaddr.parse(start)
  if (bits === undefined) return parseRange(`${addressOf(start)}/${ipaddr.process(start).toByteArray().length * 8}`)
  if (!/^[1-9]\d{0,2}$/.test(bits) || Number(bits) > address.toByteArray().length * 8) return undefined
  // Such addresses are compared as IPv4, so this range would contain none.
  if (address.kind() === 'ipv6' && (address as ipaddr.IPv6).isIPv4MappedAddress()) return undefined
  return [address, Number(bits)]
}

function parseAddress (text: string | null | undefined): Address | undefined {
  if (typeof text !== 'string' || text.length > MAX_LENGTH) return undefined
  const bare = withoutPort(text).split('%', 1)[0] ?? ''
  // Node.js checks first, because ipaddr.js also accepts `1` and `010.0.0.1`, which programs read differently.
  return isIPv4(bare) || isIPv6(bare) ? ipaddr.process(bare) : undefined
}

/** Removes `:port`, and the brackets that IPv6 needs before it. */
function withoutPort (text: string): string {
  const [, bracketed, plain] = /^(?:\[([^\]]*)\]|([\d.]+))(?::\d{1,5})?$/.exec(text.trim()) ?? []
  return bracketed ?? plain ?? text.trim()
}
