import { isIPv6 } from 'node:net'

/**
 * The network that an address stands for, in one spelling: an IPv4 address is its own, of an IPv6 address the first 64 bits count,
 * for whoever has one has them all. An IPv4 address written as IPv6 (RFC 4291 section 2.5.5.2) is the IPv4 one.
 * @param address - undefined where there is none, as on a Unix socket: all of those are one.
 */
export function networkOf (address: string | undefined): string {
  const plain = address?.split('%', 1)[0] ?? ''
  if (!isIPv6(plain)) return plain.toLowerCase()
  const groups = groupsOf(plain)
  if (groups.slice(0, 5).every(group => group === 0) && groups[5] === 0xffff) {
    return groups.slice(6).flatMap(group => [group >> 8, group & 0xff]).join('.')
  }
  return `${groups.slice(0, 4).map(group => group.toString(16)).join(':')}::/64`
}

/** The eight numbers of an IPv6 address. */
function groupsOf (address: string): number[] {
  // As the URL standard writes it: no dotted quad at the end.
  const [head = '', tail] = new URL(`http://[${address}]`).hostname.slice(1, -1).split('::')
  const first = head === '' ? [] : head.split(':')
  const last = tail === undefined || tail === '' ? [] : tail.split(':')
  const middle = Array.from({ length: 8 - first.length - last.length }, () => '0')
  return [...first, ...middle, ...last].map(group => parseInt(group, 16))
}
