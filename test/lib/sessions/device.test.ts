import t from 'tap'
import { nameDevices } from '../../../lib/sessions/device.js'

const CHROME = 'AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0'
const SAFARI = 'AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5'

t.test('devices in words', async t => {
  const table: Array<[userAgent: string | null, device: string | null]> = [
    [`Mozilla/5.0 (Windows NT 10.0; Win64; x64) ${CHROME} Safari/537.36`, 'Chrome on Windows'],
    [`Mozilla/5.0 (Windows NT 10.0; Win64; x64) ${CHROME} Safari/537.36 Edg/142.0.0.0`, 'Microsoft Edge on Windows'],
    [`Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) ${SAFARI} Mobile/15E148 Safari/604.1`, 'Safari on iPhone'],
    [`Mozilla/5.0 (iPad; CPU OS 18_5 like Mac OS X) ${SAFARI} Mobile/15E148 Safari/604.1`, 'Safari on iPad'],
    [`Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) ${SAFARI} Safari/605.1.15`, 'Safari on macOS'],
    [`Mozilla/5.0 (Linux; Android 15; K) ${CHROME} Mobile Safari/537.36`, 'Chrome on Android'],
    ['Mozilla/5.0 (X11; Linux x86_64; rv:144.0) Gecko/20100101 Firefox/144.0', 'Firefox on Linux'],
    ['curl/8.14.1', 'curl'], ['okhttp/4.12.0', 'okhttp'], ['python-requests/2.32.4', 'python-requests'], ['node', 'node'],
    ['Mozilla/5.0', null], ['', null], [null, null], ['\u0000\u{1F600}', null], ['<script>', null]
  ]
  for (const turn of ['first', 'second']) {
    const named = await nameDevices(table.map(([userAgent]) => ({ userAgent })))
    t.strictSame(named.map(({ device }) => device), table.map(([, device]) => device), turn)
  }
})

t.test('texts that were made to be slow do not hold up others', async t => {
  const parts = ['Mozilla/5.0 ', '(Windows NT ', 'Version/', 'like ', 'opr/', 'iphone os ', '_', ' ', ';', ')', 'rv:', '0', '.']
  const hostile = Array.from({ length: 500 }, (_, index) => ({
    userAgent: Array.from({ length: 512 }, (_, place) => parts[(index * 7 + place * (index % 11)) % parts.length]).join('').slice(0, 512)
  }))
  let turns = 0
  const ticking = setInterval(() => { turns++ }, 0)
  await nameDevices(hostile)
  clearInterval(ticking)
  t.ok(turns > 0, `${turns} turns of the event loop`)
})
