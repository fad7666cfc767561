import { isIPv4, isIPv6 } from 'node:net'
import ipaddr from 'ipaddr.js'

type Address = ipaddr.IPv4 | ipaddr.IPv6

/** The longest text that can be an address: IPv6 with a zone, in brackets and with a port. */
const MAX_LENGTH = 80

/**
 * The fewest leading bits of a range. No private IPv4 network is larger than 10.0.0.0/8. A larger range contains
 * strangers: 0.0.0.0/1 and 128.0.0.0/1 together trust everyone, just like 0.0.0.0/0. In IPv6, one bit already gives
 * half of all addresses, and the largest blocks that one organisation gets have 16.
 */
const FEWEST_BITS = { ipv4: 8, ipv6: 16 }

/** The names for ranges that @fastify/proxy-addr defines. */
const NAMED_RANGES: Readonly<Record<string, readonly string[]>> = {
  loopback: ['127.0.0.0/8', '::1/128'],
  linklocal: ['169.254.0.0/16', 'fe80::/10'],
  uniquelocal: ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', 'fc00::/7']
}

/**
 * Returns the address that a request came from, in one spelling. An IPv4 address that is mapped or translated to IPv6
 * (`::ffff:` of RFC 4291 section 2.5.5.2, `64:ff9b::/96` of RFC 6052) becomes IPv4. The port that some proxies add is
 * removed, and so are brackets and the zone.
 * @param text - `request.ip`, which may hold anything that a client wrote into `X-Forwarded-For`.
 * @returns null if it is not an address, so that no text from a client is stored or logged.
 */
export function addressOf (text: string | null | undefined): string | null {
  const address = parseAddress(text)
  if (address === undefined) return null
  return address.kind() === 'ipv6' ? (address as ipaddr.IPv6).toRFC5952String() : address.toString()
}

/**
 * Returns the network that counts as one sender, in one spelling. It is an IPv4 address itself, or the first 64 bits of
 * an IPv6 address, because one subscriber has all addresses that begin with them. All other texts together count as one
 * network, and so do Unix sockets.
 */
export function networkOf (text: string | null | undefined): string {
  const address = parseAddress(text)
  if (address === undefined) return ''
  if (address.kind() === 'ipv4') return address.toString()
  return `${(address as ipaddr.IPv6).parts.slice(0, 4).map(part => part.toString(16)).join(':')}::/64`
}

/**
 * Whether a text is an address, a CIDR range or the name of a range. A range with fewer bits than `FEWEST_BITS` is
 * refused, except one that lies in a named range, for example `fc00::/7`.
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
    return address !== undefined && ranges.some(range => isIn(address, range))
  }
}

function parseRange (text: string): [Address, number] | undefined {
  const [start = '', bits, ...more] = text.split('/')
  // Node.js checks first, as in `parseAddress`.
  if (more.length > 0 || start.includes('%') || (!isIPv4(start) && !isIPv6(start))) return undefined
  const address = ipaddr.parse(start)
  if (bits === undefined) return [toAddress(start), toAddress(start).toByteArray().length * 8]
  if (!/^[1-9]\d{0,2}$/.test(bits) || Number(bits) > address.toByteArray().length * 8) return undefined
  // An address is compared as IPv4 if it can be, so no address would be in such a range.
  if (address.kind() !== toAddress(start).kind()) return undefined
  const range: [Address, number] = [address, Number(bits)]
  return range[1] >= FEWEST_BITS[address.kind()] || isPrivate(range) ? range : undefined
}

/** Whether a range lies within a named range. No stranger is in one of these. */
function isPrivate ([start, bits]: [Address, number]): boolean {
  return Object.values(NAMED_RANGES).flat().some(text => {
    const range = ipaddr.parseCIDR(text)
    return range[1] <= bits && isIn(start, range)
  })
}

function isIn (address: Address, range: [Address, number]): boolean {
  return range[0].kind() === address.kind() && address.match(range)
}

/**
 * Translators between IPv4 and IPv6 put all IPv4 addresses in this range. By their first 64 bits, all clients behind
 * one would count as the same sender.
 */
const TRANSLATED = ipaddr.parseCIDR('64:ff9b::/96')

/** Parses a text that Node.js accepts as an address. */
function toAddress (text: string): Address {
  const address = ipaddr.process(text)
  return isIn(address, TRANSLATED) ? ipaddr.fromByteArray(address.toByteArray().slice(-4)) : address
}

function parseAddress (text: string | null | undefined): Address | undefined {
  if (typeof text !== 'string' || text.length > MAX_LENGTH) return undefined
  const bare = withoutPort(text).split('%', 1)[0] ?? ''
  // Node.js checks first, because ipaddr.js also accepts `1` and `010.0.0.1`, and programs disagree about their
  // meaning.
  return isIPv4(bare) || isIPv6(bare) ? toAddress(bare) : undefined
}

/** Removes `:port`, and the brackets that IPv6 needs before it. */
function withoutPort (text: string): string {
  const [, bracketed, plain] = /^(?:\[([^\]]*)\]|([\d.]+))(?::\d{1,5})?$/.exec(text.trim()) ?? []
  return bracketed ?? plain ?? text.trim()
}
