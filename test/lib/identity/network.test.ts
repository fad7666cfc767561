import t from 'tap'
import { addressOf, createRangeTest, isRange, networkOf } from '../../../lib/identity/network.js'

/** Texts that a client or a proxy may write into `X-Forwarded-For` and that are not addresses. */
const NOT_ADDRESSES = ['', ' ', 'unknown', '_hidden', 'for=203.0.113.9', '"203.0.113.9"', 'example.com', '1',
  '127.1', '0x7f.0.0.1', '010.0.0.1', '1.2.3', '1.2.3.4.5', '1.2.3.256', '1.2.3.4:', '1.2.3.4:port',
  '1.2.3.4:1234567', '1.2.3.4, 5.6.7.8', '::g', '[::1', '::1]', '[]', '[]:80', '[::1]x', '[::1]:', '[[::1]]',
  '1:2:3:4:5:6:7:8:9', '203.0.113.9/32', '<script>', '\u0000',
  '9'.repeat(10_000), `${'['.repeat(5_000)}::1`, `::1%${'x'.repeat(10_000)}`]

t.test('an address has one spelling, without port, brackets and zone', async t => {
  const table: Array<[text: string, address: string]> = [
    ['203.0.113.9', '203.0.113.9'],
    ['203.0.113.9:51234', '203.0.113.9'],
    [' 203.0.113.9 ', '203.0.113.9'],
    ['[203.0.113.9]:80', '203.0.113.9'],
    ['::ffff:203.0.113.9', '203.0.113.9'],
    ['[::FFFF:cb00:7109]:443', '203.0.113.9'],
    ['64:ff9b::203.0.113.9', '203.0.113.9'],
    ['2001:DB8:0:0:0:0:0:9', '2001:db8::9'],
    ['[2001:db8::9]', '2001:db8::9'],
    ['[2001:db8::9]:443', '2001:db8::9'],
    ['fe80::1%eth0', 'fe80::1'],
    ['[fe80::1%eth0]:443', 'fe80::1'],
    ['::1', '::1']
  ]
  for (const [text, address] of table) {
    t.equal(addressOf(text), address, text)
    t.equal(addressOf(address), address, 'again')
  }
  for (const text of [...NOT_ADDRESSES, undefined, null]) t.equal(addressOf(text), null, String(text).slice(0, 40))
})

t.test('an address counts as its network, in one spelling', async t => {
  const table: Array<[address: string | undefined, network: string]> = [
    ['203.0.113.9', '203.0.113.9'],
    ['203.0.113.9:51234', '203.0.113.9'],
    ['::ffff:203.0.113.9', '203.0.113.9'],
    ['::FFFF:cb00:7109', '203.0.113.9'],
    ['2001:db8:1:2::1', '2001:db8:1:2::/64'],
    ['[2001:db8:1:2::1]:443', '2001:db8:1:2::/64'],
    ['2001:DB8:0001:0002:ffff:ffff:ffff:ffff', '2001:db8:1:2::/64'],
    ['2001:db8::1', '2001:db8:0:0::/64'],
    ['2001:db8:0:1::', '2001:db8:0:1::/64'],
    ['64:ff9b::203.0.113.9', '203.0.113.9'],
    ['[64:FF9B::cb00:710a]:443', '203.0.113.10'],
    ['64:ff9b:0:0:0:1:cb00:7109', '64:ff9b:0:0::/64'],
    ['64:ff9b:1::203.0.113.9', '64:ff9b:1:0::/64'],
    ['::1', '0:0:0:0::/64'],
    ['::', '0:0:0:0::/64'],
    ['fe80::1%eth0', 'fe80:0:0:0::/64'],
    ['1:2:3:4:5:6:7:8', '1:2:3:4::/64'],
    [undefined, '']
  ]
  for (const [address, network] of table) t.equal(networkOf(address), network, String(address))
  for (const text of NOT_ADDRESSES) t.equal(networkOf(text), '', `one network: ${text.slice(0, 40)}`)
})

t.test('ranges are addresses, CIDR ranges and three names', async t => {
  for (const text of ['10.0.0.0/8', '127.0.0.1', '127.0.0.1/8', '::1', '::1/128', 'fc00::/7', 'fd00::/8', 'fe80::/10',
    '2001::/16', '17.0.0.0/8', '::ffff:10.0.0.1', '64:ff9b::10.0.0.1', 'loopback', 'linklocal',
    'uniquelocal']) t.ok(isRange(text), text)
  for (const text of ['', '0', '1', 'true', 'false', '*', 'all', 'Loopback', 'constructor', '__proto__',
    'proxy.example.com', '10.0.0.0/33', '10.0.0/8', '10/8', '010.0.0.0/8', '10.0.0.0/', '10.0.0.0/08',
    '10.0.0.0/-1', '10.0.0.0/8/8',
    '10.0.0.0/255.0.0.0', '0.0.0.0/0', '::/0', '::/129', '::ffff:10.0.0.0/104', '64:ff9b::10.0.0.0/104',
    '64:ff9b::/96', '0.0.0.0/1', '128.0.0.0/1', '10.0.0.0/7', '::/1', '8000::/1', '2000::/3', '2001::/15',
    'fc00::/6', 'fe80::/9', '::ffff:0.0.0.0/1', 'fe80::1%eth0', '10.0.0.1:80',
    '[::1]', ' 10.0.0.1', '10.0.0.1,10.0.0.2']) t.notOk(isRange(text), text)
})

t.test('an address is in a range whatever its spelling, and a text never is', async t => {
  const isTrusted = createRangeTest(
    ['10.0.0.0/8', '::1', '::ffff:192.0.2.1', '64:ff9b::192.0.2.3', 'fd00::/8', 'linklocal'])
  for (const text of ['10.1.2.3', '10.1.2.3:4444', '::ffff:10.1.2.3', '[::ffff:10.1.2.3]:1', '::1', '[::1]:443',
    '0:0:0:0:0:0:0:1', '192.0.2.1', '192.0.2.3', '64:ff9b::10.1.2.3',
    'fd00::1', 'fe80::1%eth0', '169.254.1.1']) t.ok(isTrusted(text), text)
  for (const text of [
    '11.0.0.1', '::2', '192.0.2.2', 'fe00::1', ...NOT_ADDRESSES, undefined
  ]) t.notOk(isTrusted(text), String(text).slice(0, 40))
  t.notOk(createRangeTest([])('127.0.0.1'))
})
